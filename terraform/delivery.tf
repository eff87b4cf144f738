# Delivery faces the world and decodes untrusted bytes: it holds the key of links and, unless record_fetches, nothing else.

locals {
  delivery = {
    size    = var.sizes.delivery
    subnets = aws_subnet.inside[*].id
    drawers = local.drawers.delivery

    environment = {
      # One second less than CloudFront waits, so that a 503 with Retry-After comes before CloudFront's own 504.
      WAIT_LIMIT_S      = var.origin_timeout_s - 1
      MISSES_PER_MINUTE = var.misses_per_minute == null ? "" : tostring(var.misses_per_minute)
      TRUSTED_PROXIES   = join(",", local.trusted_proxies)
      RECORD_FETCHES    = var.record_fetches ? "true" : ""
      LEDGER_URL        = var.record_fetches ? local.ledger_url : ""
    }
  }

  # Who stands between a client and a task: the load balancer, and a VPC origin, of which AWS does not document whether the
  # load balancer sees its interface in this VPC or CloudFront's own address. Whoever comes from neither is the client.
  trusted_proxies = concat([var.vpc_cidr], sort(data.aws_ec2_managed_prefix_list.cloudfront.entries[*].cidr))
}

resource "aws_iam_role_policy" "delivery_media" {
  name   = "media"
  role   = aws_iam_role.task["delivery"].id
  policy = local.media_policy
}

resource "aws_vpc_security_group_egress_rule" "delivery_to_endpoints" {
  security_group_id            = aws_security_group.tasks["delivery"].id
  description                  = "Image, log and secrets"
  referenced_security_group_id = aws_security_group.endpoints.id
  ip_protocol                  = "tcp"
  from_port                    = 443
  to_port                      = 443
}

resource "aws_vpc_security_group_egress_rule" "delivery_to_s3" {
  security_group_id = aws_security_group.tasks["delivery"].id
  description       = "S3"
  prefix_list_id    = aws_vpc_endpoint.s3.prefix_list_id
  ip_protocol       = "tcp"
  from_port         = 443
  to_port           = 443
}

resource "aws_vpc_security_group_egress_rule" "delivery_to_aurora" {
  count                        = var.record_fetches && local.makes_aurora ? 1 : 0
  security_group_id            = aws_security_group.tasks["delivery"].id
  description                  = "Ledger"
  referenced_security_group_id = aws_security_group.ledger[0].id
  ip_protocol                  = "tcp"
  from_port                    = local.ledger_port
  to_port                      = local.ledger_port
}

resource "aws_vpc_security_group_egress_rule" "delivery_to_ledger" {
  for_each          = var.record_fetches ? var.ledger_cidr_blocks : []
  security_group_id = aws_security_group.tasks["delivery"].id
  description       = "Ledger"
  cidr_ipv4         = each.value
  ip_protocol       = "tcp"
  from_port         = local.ledger_port
  to_port           = local.ledger_port
}
