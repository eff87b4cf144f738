# Who may run `medialink takedown`: attach this to the people's role or permission set. No task has it.

locals {
  takedowns = "${aws_s3_bucket.media.arn}/.medialink/takedowns/*"
}

resource "aws_iam_policy" "takedown" {
  name        = "${var.name}-takedown"
  description = "Take media down: write the list, and have the CDN forget them"

  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [
      {
        Sid      = "ListTakedowns"
        Effect   = "Allow"
        Action   = "s3:ListBucket"
        Resource = aws_s3_bucket.media.arn
      },
      {
        Sid      = "ReadAndWriteTakedowns"
        Effect   = "Allow"
        Action   = ["s3:GetObject", "s3:PutObject", "s3:DeleteObject"]
        Resource = local.takedowns
      },
      {
        Sid       = "OpenAndSealTakedowns"
        Effect    = "Allow"
        Action    = ["kms:Decrypt", "kms:GenerateDataKey"]
        Resource  = aws_kms_key.data.arn
        Condition = { StringEquals = { "kms:ViaService" = "s3.${local.region}.amazonaws.com" } }
      },
      {
        Sid      = "HaveTheCdnForget"
        Effect   = "Allow"
        Action   = "cloudfront:CreateInvalidation"
        Resource = aws_cloudfront_distribution.media.arn
      },
      {
        # They name the paths of a key's links.
        Sid      = "ReadLinkKeys"
        Effect   = "Allow"
        Action   = "secretsmanager:GetSecretValue"
        Resource = aws_secretsmanager_secret.setting["LINK_KEYS"].arn
      },
      {
        Sid       = "OpenLinkKeys"
        Effect    = "Allow"
        Action    = "kms:Decrypt"
        Resource  = aws_kms_key.data.arn
        Condition = { StringEquals = { "kms:ViaService" = "secretsmanager.${local.region}.amazonaws.com" } }
      },
    ]
  })
}
