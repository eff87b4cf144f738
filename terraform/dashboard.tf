locals {
  edge     = ["DistributionId", aws_cloudfront_distribution.media.id, "Region", "Global"]
  balancer = ["LoadBalancer", aws_lb.origin.arn_suffix]

  # Two columns of twelve; a row is six high.
  charts = concat([
    {
      title = "CDN: requests", region = "us-east-1", stat = "Sum"
      lines = [concat(["AWS/CloudFront", "Requests"], local.edge)]
    },
    {
      title = "CDN: hits, errors (%)", region = "us-east-1", stat = "Average"
      lines = [for metric in ["CacheHitRate", "4xxErrorRate", "5xxErrorRate"] : concat(["AWS/CloudFront", metric], local.edge)]
    },
    {
      title = "Latency of the services, slowest 5 % (s)", region = local.region, stat = "p95"
      lines = [for group in aws_lb_target_group.service : concat(["AWS/ApplicationELB", "TargetResponseTime", "TargetGroup", group.arn_suffix], local.balancer)]
    },
    {
      title = "Errors of services and load balancer", region = local.region, stat = "Sum"
      lines = [for metric in ["HTTPCode_Target_5XX_Count", "HTTPCode_ELB_5XX_Count"] : concat(["AWS/ApplicationELB", metric], local.balancer)]
    },
    {
      title = "Queue full, store away, broken, failed media", region = local.region, stat = "Sum"
      lines = [for metric in keys(local.log_metrics) : [var.name, metric]]
    },
    {
      title = "CPU (%)", region = local.region, stat = "Average"
      lines = [for name in keys(local.services) : ["AWS/ECS", "CPUUtilization", "ClusterName", aws_ecs_cluster.main.name, "ServiceName", name]]
    },
    {
      title = "Memory (%)", region = local.region, stat = "Maximum"
      lines = [for name in keys(local.services) : ["AWS/ECS", "MemoryUtilization", "ClusterName", aws_ecs_cluster.main.name, "ServiceName", name]]
    },
    ], local.makes_aurora ? [{
      title = "Ledger: capacity (%)", region = local.region, stat = "Maximum"
      lines = [["AWS/RDS", "ACUUtilization", "DBClusterIdentifier", aws_rds_cluster.ledger[0].cluster_identifier]]
  }] : [])
}

resource "aws_cloudwatch_dashboard" "medialink" {
  dashboard_name = var.name

  dashboard_body = jsonencode({
    widgets = [for index, chart in local.charts : {
      type   = "metric"
      x      = 12 * (index % 2)
      y      = 6 * floor(index / 2)
      width  = 12
      height = 6
      properties = {
        title   = chart.title
        region  = chart.region
        view    = "timeSeries"
        period  = 300
        stat    = chart.stat
        metrics = chart.lines
      }
    }]
  })
}
