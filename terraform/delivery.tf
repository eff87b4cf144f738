# Delivery faces the world and decodes untrusted bytes: it holds the key of links and nothing else.

locals {
  delivery = {
    size    = var.sizes.delivery
    subnets = aws_subnet.inside[*].id
    secrets = ["LINK_KEYS"]
    # One second less than CloudFront waits, so that a 503 with Retry-After comes before CloudFront's own 504.
    environment = { WAIT_LIMIT_S = var.origin_timeout_s - 1 }
  }
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
