# Messaging takes wishes and webhooks, calls the provider and keeps the ledger.

locals {
  messaging = {
    size    = var.sizes.messaging
    subnets = aws_subnet.outbound[*].id
    drawers = local.drawers.messaging
    environment = {
      LEDGER_URL          = local.ledger_url
      FORWARD_WEBHOOKS_TO = var.forward_webhooks_to == null ? "" : var.forward_webhooks_to
    }
  }
}

resource "aws_iam_role_policy" "messaging_media" {
  name   = "media"
  role   = aws_iam_role.task["messaging"].id
  policy = local.media_policy
}

# Imports go where no source of anybody else's lies, so that none is overwritten.
resource "aws_iam_role_policy" "messaging_imports" {
  count = lookup(var.settings, "FOREIGN_LINKS", "pass") == "import" ? 1 : 0
  name  = "imports"
  role  = aws_iam_role.task["messaging"].id

  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Sid      = "WriteImports"
      Effect   = "Allow"
      Action   = "s3:PutObject"
      Resource = "${aws_s3_bucket.media.arn}/imported/*"
    }]
  })
}

resource "aws_vpc_security_group_egress_rule" "messaging_to_https" {
  # The provider's addresses are not documented, nor where webhooks go on to or imports come from; the first send fetches its
  # own link at the CDN.
  security_group_id = aws_security_group.tasks["messaging"].id
  description       = "Provider, CDN, hosts of forwards and imports, and AWS"
  cidr_ipv4         = "0.0.0.0/0"
  ip_protocol       = "tcp"
  from_port         = 443
  to_port           = 443
}

resource "aws_vpc_security_group_egress_rule" "messaging_to_aurora" {
  count                        = local.makes_aurora ? 1 : 0
  security_group_id            = aws_security_group.tasks["messaging"].id
  description                  = "Ledger"
  referenced_security_group_id = aws_security_group.ledger[0].id
  ip_protocol                  = "tcp"
  from_port                    = local.ledger_port
  to_port                      = local.ledger_port
}

resource "aws_vpc_security_group_egress_rule" "messaging_to_ledger" {
  for_each          = var.ledger_cidr_blocks
  security_group_id = aws_security_group.tasks["messaging"].id
  description       = "Ledger"
  cidr_ipv4         = each.value
  ip_protocol       = "tcp"
  from_port         = local.ledger_port
  to_port           = local.ledger_port
}
