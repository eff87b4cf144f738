mock_provider "aws" {
  source = "./tests/mocks"
}

variables {
  image_tag           = "1.2.3"
  forward_webhooks_to = "none"
}

run "nobody_gets_in_or_out_but_those_who_must" {
  assert {
    condition     = aws_lb.origin.internal
    error_message = "The load balancer is on the internet."
  }

  assert {
    condition     = aws_vpc_security_group_ingress_rule.balancer_from_cloudfront.prefix_list_id == "pl-cloudfront"
    error_message = "Others than CloudFront come in."
  }

  assert {
    condition     = length(aws_vpc_security_group_ingress_rule.balancer_from_callers) == 0 && length(aws_lb_listener.private) == 0
    error_message = "There is a private gateway that nobody asked for."
  }

  assert {
    condition     = data.aws_ec2_managed_prefix_list.cloudfront.name == "com.amazonaws.global.cloudfront.origin-facing"
    error_message = "The prefix list is not CloudFront's."
  }

  assert {
    condition     = alltrue([for rule in aws_vpc_security_group_ingress_rule.tasks_from_balancer : rule.referenced_security_group_id == aws_security_group.balancer.id])
    error_message = "Others reach the tasks."
  }

  assert {
    condition     = toset(values(aws_vpc_security_group_ingress_rule.tasks_from_balancer)[*].from_port) == toset([8080, 9090])
    error_message = "Other ports of tasks are open."
  }

  assert {
    condition     = toset(aws_ecs_service.service["delivery"].network_configuration[0].subnets) == toset(aws_subnet.inside[*].id)
    error_message = "Delivery does not stand inside."
  }

  assert {
    condition     = length(aws_route_table.inside.route) == 0
    error_message = "A route leads from inside to the outside."
  }

  assert {
    condition     = aws_vpc_security_group_egress_rule.delivery_to_s3.prefix_list_id == aws_vpc_endpoint.s3.prefix_list_id && aws_vpc_security_group_egress_rule.delivery_to_endpoints.referenced_security_group_id == aws_security_group.endpoints.id
    error_message = "Delivery talks to more than S3 and the endpoints."
  }

  assert {
    condition     = alltrue([for service in aws_ecs_service.service : !service.network_configuration[0].assign_public_ip])
    error_message = "A task has a public address."
  }

  assert {
    condition = toset(flatten([for statement in jsondecode(aws_vpc_endpoint.s3.policy).Statement : statement.Resource])) == toset([
      "arn:aws:s3:::bucket", "arn:aws:s3:::bucket/*", "arn:aws:s3:::prod-eu-central-1-starport-layer-bucket/*",
    ])
    error_message = "Tasks can reach other buckets."
  }

  assert {
    condition = (
      aws_vpc_security_group_ingress_rule.ledger_from_messaging[0].referenced_security_group_id == aws_security_group.tasks["messaging"].id &&
      length(aws_vpc_security_group_ingress_rule.ledger_from_delivery) + length(aws_vpc_security_group_egress_rule.delivery_to_aurora) == 0
    )
    error_message = "Others reach the ledger."
  }

  assert {
    condition     = alltrue([for instance in aws_rds_cluster_instance.ledger : !instance.publicly_accessible])
    error_message = "The ledger is on the internet."
  }
}

run "zones_are_named_and_subnets_do_not_meet" {
  variables {
    zones        = ["a", "b", "c"]
    nat_per_zone = true
  }

  assert {
    condition     = aws_subnet.inside[*].availability_zone == ["eu-central-1a", "eu-central-1b", "eu-central-1c"]
    error_message = "Zones are not those that were named."
  }

  assert {
    condition     = length(distinct(concat(aws_subnet.inside[*].cidr_block, aws_subnet.outbound[*].cidr_block, aws_subnet.public[*].cidr_block))) == 9
    error_message = "Two subnets have one block."
  }

  assert {
    condition     = length(aws_nat_gateway.outbound) == 3
    error_message = "A zone has no NAT gateway of its own."
  }
}
