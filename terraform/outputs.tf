output "public_url" {
  description = "What links begin with."
  value       = local.public_url
}

output "bucket" {
  description = "Where sources are put."
  value       = aws_s3_bucket.media.id
}

output "repository_url" {
  description = "Where the image is pushed."
  value       = aws_ecr_repository.medialink.repository_url
}

output "secrets" {
  description = "The drawers to be filled, by setting."
  value       = { for setting, secret in aws_secretsmanager_secret.setting : setting => secret.arn }
}

output "cluster" {
  description = "The ECS cluster."
  value       = aws_ecs_cluster.main.name
}

output "takedown" {
  description = "The policy of who may run `medialink takedown`, and the settings that it needs beside LINK_KEYS."
  value = {
    policy_arn = aws_iam_policy.takedown.arn
    settings = {
      STORE                      = "s3://${aws_s3_bucket.media.id}"
      S3_REGION                  = local.region
      PUBLIC_URL                 = local.public_url
      ALIAS_PREFIXES             = join(",", var.alias_prefixes)
      CLOUDFRONT_DISTRIBUTION_ID = aws_cloudfront_distribution.media.id
    }
  }
}

output "distribution_domain" {
  description = "What a CNAME of your own domain points to, where its zone is not here."
  value       = aws_cloudfront_distribution.media.domain_name
}

output "private_gateway" {
  description = "Where callers of a private gateway go, by the name of origin_certificate; null where there is none."
  value       = var.reach.gateway == "private" ? "${aws_lb.origin.dns_name}:${local.private_port}" : null
}

output "ledger" {
  description = "The cluster and its master's secret, for making the ledger's user; null where the ledger is your own."
  value = local.makes_aurora ? {
    cluster_arn = aws_rds_cluster.ledger[0].arn
    secret_arn  = one(aws_rds_cluster.ledger[0].master_user_secret).secret_arn
  } : null
}

output "dashboard" {
  description = "The dashboard's name."
  value       = aws_cloudwatch_dashboard.medialink.dashboard_name
}

output "alarm_topics" {
  description = "Topics of alarms: of this region, and of the CDN."
  value       = { for place, topic in aws_sns_topic.alarms : place => topic.arn }
}
