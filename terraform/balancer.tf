# Internal: no address of it is public, and its first listener hears CloudFront alone.

locals {
  origin_protocol = var.origin_certificate == null ? "HTTP" : "HTTPS"
  origin_port     = var.origin_certificate == null ? 80 : 443
  private_port    = 8443

  # A rule takes at most five patterns (load balancer quotas).
  cdn_rules = merge(
    { links = { service = "delivery", priority = 10, paths = local.link_paths } },
    length(var.alias_prefixes) == 0 ? {} : { aliases = { service = "delivery", priority = 20, paths = local.alias_paths } },
    var.reach.webhooks != "cdn" ? {} : { webhooks = { service = "messaging", priority = 30, paths = local.webhook_paths } },
    var.reach.gateway != "cdn" ? {} : { gateway = { service = "messaging", priority = 40, paths = local.gateway_paths } },
  )
}

data "aws_ec2_managed_prefix_list" "cloudfront" {
  name = "com.amazonaws.global.cloudfront.origin-facing"
}

resource "aws_lb" "origin" {
  # checkov:skip=CKV_AWS_91: access logs would hold links, and whoever has a link has the medium; the service logs what it serves
  name                       = var.name
  internal                   = true
  load_balancer_type         = "application"
  subnets                    = aws_subnet.inside[*].id
  security_groups            = [aws_security_group.balancer.id]
  drop_invalid_header_fields = true
  desync_mitigation_mode     = "strictest"
  enable_deletion_protection = var.protected
}

resource "aws_security_group" "balancer" {
  name        = "${var.name}-balancer"
  description = "What CloudFront, and callers of a private gateway, talk to"
  vpc_id      = aws_vpc.main.id
}

resource "aws_vpc_security_group_ingress_rule" "balancer_from_cloudfront" {
  security_group_id = aws_security_group.balancer.id
  description       = "CloudFront"
  prefix_list_id    = data.aws_ec2_managed_prefix_list.cloudfront.id
  ip_protocol       = "tcp"
  from_port         = local.origin_port
  to_port           = local.origin_port
}

resource "aws_vpc_security_group_ingress_rule" "balancer_from_callers" {
  for_each          = var.gateway_cidr_blocks
  security_group_id = aws_security_group.balancer.id
  description       = "Callers of the private gateway"
  cidr_ipv4         = each.value
  ip_protocol       = "tcp"
  from_port         = local.private_port
  to_port           = local.private_port
}

resource "aws_vpc_security_group_egress_rule" "balancer_to_tasks" {
  for_each                     = local.task_doors
  security_group_id            = aws_security_group.balancer.id
  description                  = "${each.value.service} tasks"
  referenced_security_group_id = aws_security_group.tasks[each.value.service].id
  ip_protocol                  = "tcp"
  from_port                    = each.value.port
  to_port                      = each.value.port
}

resource "aws_lb_target_group" "service" {
  # checkov:skip=CKV_AWS_378: a load balancer does not check its targets' certificates; security groups say who talks here
  for_each                      = local.services
  name                          = "${var.name}-${each.key}"
  vpc_id                        = aws_vpc.main.id
  target_type                   = "ip"
  protocol                      = "HTTP"
  port                          = local.service_port
  load_balancing_algorithm_type = "least_outstanding_requests"
  deregistration_delay          = 15

  # Alive, not ready: ECS replaces what fails here, and a store that is away must not cost the tasks their caches.
  health_check {
    path                = "/healthz"
    port                = local.platform_port
    interval            = 10
    timeout             = 5
    healthy_threshold   = 2
    unhealthy_threshold = 3
  }
}

resource "aws_lb_listener" "cdn" {
  # checkov:skip=CKV_AWS_2: without origin_certificate, CloudFront's way here is AWS's own network into the VPC
  # checkov:skip=CKV_AWS_103: as above; with a certificate the policy below is TLS 1.2 and newer
  load_balancer_arn = aws_lb.origin.arn
  protocol          = local.origin_protocol
  port              = local.origin_port
  certificate_arn   = try(var.origin_certificate.arn, null)
  ssl_policy        = var.origin_certificate == null ? null : "ELBSecurityPolicy-TLS13-1-2-2021-06"

  default_action {
    type = "fixed-response"

    fixed_response {
      content_type = "text/plain"
      status_code  = "404"
    }
  }
}

resource "aws_lb_listener_rule" "cdn" {
  for_each     = local.cdn_rules
  listener_arn = aws_lb_listener.cdn.arn
  priority     = each.value.priority

  action {
    type             = "forward"
    target_group_arn = aws_lb_target_group.service[each.value.service].arn
  }

  condition {
    path_pattern {
      values = each.value.paths
    }
  }
}

resource "aws_lb_listener" "private" {
  count             = var.reach.gateway == "private" ? 1 : 0
  load_balancer_arn = aws_lb.origin.arn
  protocol          = "HTTPS"
  port              = local.private_port
  certificate_arn   = var.origin_certificate.arn
  ssl_policy        = "ELBSecurityPolicy-TLS13-1-2-2021-06"

  default_action {
    type = "fixed-response"

    fixed_response {
      content_type = "text/plain"
      status_code  = "404"
    }
  }
}

resource "aws_lb_listener_rule" "private" {
  count        = var.reach.gateway == "private" ? 1 : 0
  listener_arn = aws_lb_listener.private[0].arn
  priority     = 10

  action {
    type             = "forward"
    target_group_arn = aws_lb_target_group.service["messaging"].arn
  }

  condition {
    path_pattern {
      values = local.gateway_paths
    }
  }
}
