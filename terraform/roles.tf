# Two roles a service: the agent's, which starts a task, and the task's own.

locals {
  task_assumption = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Effect    = "Allow"
      Principal = { Service = "ecs-tasks.amazonaws.com" }
      Action    = "sts:AssumeRole"
      Condition = {
        StringEquals = { "aws:SourceAccount" = local.account }
        ArnLike      = { "aws:SourceArn" = "arn:${local.partition}:ecs:${local.region}:${local.account}:*" }
      }
    }]
  })

  # Sources are read, renditions written; nothing is ever deleted, and no source is overwritten.
  media_policy = jsonencode({
    Version = "2012-10-17"
    Statement = [
      {
        # Without it S3 says 403 of what is missing, too.
        Sid      = "TellMissingFromForbidden"
        Effect   = "Allow"
        Action   = "s3:ListBucket"
        Resource = aws_s3_bucket.media.arn
      },
      {
        # Health says so when versions are switched off: links die with what they name then.
        Sid      = "AskForVersions"
        Effect   = "Allow"
        Action   = "s3:GetBucketVersioning"
        Resource = aws_s3_bucket.media.arn
      },
      {
        Sid      = "ReadMedia"
        Effect   = "Allow"
        Action   = ["s3:GetObject", "s3:GetObjectVersion"]
        Resource = "${aws_s3_bucket.media.arn}/*"
      },
      {
        Sid      = "WriteRenditions"
        Effect   = "Allow"
        Action   = "s3:PutObject"
        Resource = "${aws_s3_bucket.media.arn}/.medialink/*"
      },
      {
        Sid       = "OpenAndSealMedia"
        Effect    = "Allow"
        Action    = ["kms:Decrypt", "kms:GenerateDataKey"]
        Resource  = aws_kms_key.data.arn
        Condition = { StringEquals = { "kms:ViaService" = "s3.${local.region}.amazonaws.com" } }
      },
    ]
  })
}

resource "aws_iam_role" "task" {
  for_each           = local.services
  name_prefix        = "${var.name}-${each.key}-task-"
  assume_role_policy = local.task_assumption
}

resource "aws_iam_role" "agent" {
  for_each           = local.services
  name_prefix        = "${var.name}-${each.key}-agent-"
  assume_role_policy = local.task_assumption
}

resource "aws_iam_role_policy" "agent" {
  for_each = local.services
  name     = "start"
  role     = aws_iam_role.agent[each.key].id

  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [
      {
        # This action takes no resource (ECR, service authorization reference); the token opens what the next statement says.
        Sid      = "SignInToEcr"
        Effect   = "Allow"
        Action   = "ecr:GetAuthorizationToken"
        Resource = "*"
      },
      {
        Sid      = "PullImage"
        Effect   = "Allow"
        Action   = ["ecr:BatchCheckLayerAvailability", "ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer"]
        Resource = aws_ecr_repository.medialink.arn
      },
      {
        Sid      = "WriteLog"
        Effect   = "Allow"
        Action   = ["logs:CreateLogStream", "logs:PutLogEvents"]
        Resource = "${aws_cloudwatch_log_group.service.arn}:log-stream:${each.key}/*"
      },
      {
        Sid      = "ReadItsSecrets"
        Effect   = "Allow"
        Action   = "secretsmanager:GetSecretValue"
        Resource = [for drawer in values(each.value.drawers) : aws_secretsmanager_secret.setting[drawer].arn]
      },
      {
        Sid       = "OpenItsSecrets"
        Effect    = "Allow"
        Action    = "kms:Decrypt"
        Resource  = aws_kms_key.data.arn
        Condition = { StringEquals = { "kms:ViaService" = "secretsmanager.${local.region}.amazonaws.com" } }
      },
    ]
  })
}
