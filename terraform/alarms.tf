# What goes wrong where nobody looks. CloudFront's metrics lie in us-east-1, and an alarm only calls topics of its region.

locals {
  alarm_regions = { home = local.region, edge = "us-east-1" }

  # Events of the service's own log (JSON lines), counted.
  log_metrics = {
    QueueFull   = "{ $.event = \"request.failed\" && $.code = \"busy\" }"
    StoreAway   = "{ $.event = \"request.failed\" && $.code = \"store_away\" }"
    Broken      = "{ $.event = \"request.broke\" }"
    FailedMedia = "{ $.event = \"message.failed\" && $.code = 131053 }"
  }

  alarms = {
    cdn-5xx = {
      region      = "edge", namespace = "AWS/CloudFront", metric = "5xxErrorRate", statistic = "Average"
      dimensions  = { DistributionId = aws_cloudfront_distribution.media.id, Region = "Global" }
      threshold   = var.alarm_at.cdn_5xx_percent
      description = "CloudFront answers with errors, percent: look at origin-5xx; if that is still, CloudFront does not reach the origin."
    }
    origin-5xx = {
      region      = "home", namespace = "AWS/ApplicationELB", metric = "HTTPCode_Target_5XX_Count", statistic = "Sum"
      dimensions  = { LoadBalancer = aws_lb.origin.arn_suffix }
      threshold   = var.alarm_at.origin_5xx_count
      description = "The service answers with errors: its log says why (request.failed, request.broke)."
    }
    balancer-5xx = {
      region      = "home", namespace = "AWS/ApplicationELB", metric = "HTTPCode_ELB_5XX_Count", statistic = "Sum"
      dimensions  = { LoadBalancer = aws_lb.origin.arn_suffix }
      threshold   = var.alarm_at.origin_5xx_count
      description = "The load balancer finds nobody who answers: are tasks running, and alive?"
    }
    latency = {
      region      = "home", namespace = "AWS/ApplicationELB", metric = "TargetResponseTime", statistic = "p95"
      dimensions  = { LoadBalancer = aws_lb.origin.arn_suffix, TargetGroup = aws_lb_target_group.service["delivery"].arn_suffix }
      threshold   = var.alarm_at.latency_p95_s
      description = "Links are slow, seconds: WhatsApp gives up on slow hosts. Renditions made on demand, or a slow store?"
    }
    queue-full = {
      region      = "home", namespace = var.name, metric = "QueueFull", statistic = "Sum"
      dimensions  = {}
      threshold   = var.alarm_at.queue_full_count
      description = "Requests were turned away because the queue was full (503 busy): more tasks, or larger ones."
    }
    store-away = {
      region      = "home", namespace = var.name, metric = "StoreAway", statistic = "Sum"
      dimensions  = {}
      threshold   = var.alarm_at.store_away_count
      description = "S3 does not answer: what is cached is still served."
    }
    broken = {
      region      = "home", namespace = var.name, metric = "Broken", statistic = "Sum"
      dimensions  = {}
      threshold   = 1
      description = "A defect of ours: the log has the trace under request.broke."
    }
    failed-media = {
      region      = "home", namespace = var.name, metric = "FailedMedia", statistic = "Sum"
      dimensions  = {}
      threshold   = var.alarm_at.failed_media
      description = "WhatsApp could not use media of ours (131053): the ledger has the details."
    }
  }
}

resource "aws_sns_topic" "alarms" {
  # checkov:skip=CKV_AWS_26: an alarm's text names a metric and a threshold; a key in us-east-1 for that would guard nothing
  for_each = local.alarm_regions
  region   = each.value
  name     = "${var.name}-alarms-${each.key}"
}

resource "aws_sns_topic_policy" "alarms" {
  for_each = aws_sns_topic.alarms
  region   = local.alarm_regions[each.key]
  arn      = each.value.arn

  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Sid       = "AlarmsOfThisAccount"
      Effect    = "Allow"
      Principal = { Service = "cloudwatch.amazonaws.com" }
      Action    = "sns:Publish"
      Resource  = each.value.arn
      Condition = { StringEquals = { "aws:SourceAccount" = local.account } }
    }]
  })
}

resource "aws_sns_topic_subscription" "email" {
  for_each  = var.alarm_email == null ? {} : aws_sns_topic.alarms
  region    = local.alarm_regions[each.key]
  topic_arn = each.value.arn
  protocol  = "email"
  endpoint  = var.alarm_email
}

resource "aws_cloudwatch_log_metric_filter" "event" {
  for_each       = local.log_metrics
  name           = "${var.name}-${each.key}"
  log_group_name = aws_cloudwatch_log_group.service.name
  pattern        = each.value

  metric_transformation {
    namespace     = var.name
    name          = each.key
    value         = 1
    default_value = 0
  }
}

resource "aws_cloudwatch_metric_alarm" "service" {
  for_each            = local.alarms
  region              = local.alarm_regions[each.value.region]
  alarm_name          = "${var.name}-${each.key}"
  alarm_description   = each.value.description
  namespace           = each.value.namespace
  metric_name         = each.value.metric
  dimensions          = each.value.dimensions
  statistic           = startswith(each.value.statistic, "p") ? null : each.value.statistic
  extended_statistic  = startswith(each.value.statistic, "p") ? each.value.statistic : null
  period              = 300
  evaluation_periods  = 1
  comparison_operator = "GreaterThanOrEqualToThreshold"
  threshold           = each.value.threshold
  treat_missing_data  = "notBreaching"
  alarm_actions       = [aws_sns_topic.alarms[each.value.region].arn]
  ok_actions          = [aws_sns_topic.alarms[each.value.region].arn]
}

# Silence is no proof of health: a service without a living task reports nothing at all.
resource "aws_cloudwatch_metric_alarm" "alive" {
  for_each            = aws_ecs_service.service
  alarm_name          = "${var.name}-${each.key}-alive"
  alarm_description   = "No task of ${each.key} is alive."
  namespace           = "AWS/ApplicationELB"
  metric_name         = "HealthyHostCount"
  dimensions          = { LoadBalancer = aws_lb.origin.arn_suffix, TargetGroup = aws_lb_target_group.service[each.key].arn_suffix }
  statistic           = "Minimum"
  period              = 60
  evaluation_periods  = 3
  comparison_operator = "LessThanThreshold"
  threshold           = 1
  treat_missing_data  = "breaching"
  alarm_actions       = [aws_sns_topic.alarms["home"].arn]
  ok_actions          = [aws_sns_topic.alarms["home"].arn]
}

resource "aws_cloudwatch_metric_alarm" "ledger" {
  count               = local.makes_aurora ? 1 : 0
  alarm_name          = "${var.name}-ledger-full"
  alarm_description   = "The ledger's database runs at 90 % of its largest size: raise aurora.max_acu."
  namespace           = "AWS/RDS"
  metric_name         = "ACUUtilization"
  dimensions          = { DBClusterIdentifier = aws_rds_cluster.ledger[0].cluster_identifier }
  statistic           = "Maximum"
  period              = 300
  evaluation_periods  = 3
  comparison_operator = "GreaterThanOrEqualToThreshold"
  threshold           = 90
  treat_missing_data  = "notBreaching"
  alarm_actions       = [aws_sns_topic.alarms["home"].arn]
  ok_actions          = [aws_sns_topic.alarms["home"].arn]
}
