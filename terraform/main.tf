data "aws_caller_identity" "current" {}

data "aws_partition" "current" {}

data "aws_region" "current" {}

locals {
  account   = data.aws_caller_identity.current.account_id
  partition = data.aws_partition.current.partition
  region    = data.aws_region.current.region

  service_port  = 8080
  platform_port = 9090

  public_url = "https://${var.domain == null ? aws_cloudfront_distribution.media.domain_name : var.domain.name}"

  link_paths    = ["/m/*"]
  alias_paths   = ["/audio/*", "/document/*", "/image/*", "/sticker/*", "/video/*"]
  webhook_paths = ["/webhooks"]
  gateway_paths = ["/messages", "/links", "/verdicts", "/waba/*"]
}

# One key for what lies here: media, secrets, ledger, images and logs.
resource "aws_kms_key" "data" {
  description             = "${var.name}: media, secrets, ledger, images, logs"
  enable_key_rotation     = true
  deletion_window_in_days = 30

  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [
      {
        # In a key's policy * is this key; without this statement IAM policies would count for nothing (KMS guide).
        Sid       = "AccountAdministers"
        Effect    = "Allow"
        Principal = { AWS = "arn:${local.partition}:iam::${local.account}:root" }
        Action    = "kms:*"
        Resource  = "*"
      },
      {
        # In a key's policy * is this key.
        Sid       = "LogsEncrypt"
        Effect    = "Allow"
        Principal = { Service = "logs.${local.region}.amazonaws.com" }
        Action    = ["kms:Encrypt", "kms:Decrypt", "kms:ReEncryptFrom", "kms:ReEncryptTo", "kms:GenerateDataKey", "kms:DescribeKey"]
        Resource  = "*"
        Condition = {
          ArnLike = {
            "kms:EncryptionContext:aws:logs:arn" = "arn:${local.partition}:logs:${local.region}:${local.account}:log-group:/${var.name}/*"
          }
        }
      },
    ]
  })
}

resource "aws_kms_alias" "data" {
  name          = "alias/${var.name}"
  target_key_id = aws_kms_key.data.key_id
}
