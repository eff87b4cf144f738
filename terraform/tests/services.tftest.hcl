mock_provider "aws" {
  source = "./tests/mocks"
}

variables {
  image_tag           = "1.2.3"
  forward_webhooks_to = "none"
}

run "without_an_image_there_are_no_tenants" {
  variables {
    image_tag = null
  }

  assert {
    condition     = length(aws_ecs_service.service) + length(aws_ecs_task_definition.service) + length(aws_appautoscaling_target.service) == 0
    error_message = "A service would start without an image and be given up."
  }
}

run "tenants_are_closed_know_only_their_own_and_grow" {
  assert {
    condition = alltrue([for task in aws_ecs_task_definition.service :
      jsondecode(task.container_definitions)[0].readonlyRootFilesystem &&
      !jsondecode(task.container_definitions)[0].privileged &&
      jsondecode(task.container_definitions)[0].user == "10001:10001" &&
      jsondecode(task.container_definitions)[0].linuxParameters.capabilities.drop == ["ALL"]
    ])
    error_message = "A container may write its root, is privileged, root, or has capabilities."
  }

  assert {
    condition     = alltrue([for task in aws_ecs_task_definition.service : toset(jsondecode(task.container_definitions)[0].mountPoints[*].containerPath) == toset(["/data", "/tmp"])])
    error_message = "Other places than /data and /tmp can be written."
  }

  assert {
    condition     = alltrue([for name, task in aws_ecs_task_definition.service : slice(jsondecode(task.container_definitions)[0].command, 0, 3) == ["serve", "--only", name]])
    error_message = "A service serves another half than its own."
  }

  assert {
    condition     = length(distinct([for task in aws_ecs_task_definition.service : jsondecode(task.container_definitions)[0].image])) == 1
    error_message = "The services run different images."
  }

  assert {
    condition     = jsondecode(aws_ecs_task_definition.service["delivery"].container_definitions)[0].secrets[*].name == ["LINK_KEYS"]
    error_message = "Delivery holds more than the keys of links."
  }

  assert {
    condition     = !contains(jsondecode(aws_ecs_task_definition.service["delivery"].container_definitions)[0].environment[*].name, "LEDGER_URL")
    error_message = "Delivery knows the ledger."
  }

  assert {
    condition = alltrue([for statement in jsondecode(aws_iam_role_policy.agent["delivery"].policy).Statement :
      statement.Resource == [aws_secretsmanager_secret.setting["LINK_KEYS"].arn] if statement.Action == "secretsmanager:GetSecretValue"
    ])
    error_message = "Delivery's agent may read other secrets."
  }

  assert {
    condition = alltrue([for task in aws_ecs_task_definition.service :
      length(setintersection(jsondecode(task.container_definitions)[0].environment[*].name, keys(local.secrets))) == 0
    ])
    error_message = "A secret stands in a task definition."
  }

  assert {
    condition     = toset(jsondecode(aws_ecs_task_definition.service["messaging"].container_definitions)[0].secrets[*].name) == toset(["LINK_KEYS", "D360_API_KEY", "LEDGER_KEY", "PGPASSWORD", "WEBHOOK_SECRET"])
    error_message = "Messaging lacks a secret, or asks for one that nobody fills: its tasks would not start."
  }

  assert {
    condition = alltrue([for name in ["delivery", "messaging"] :
      local.environment[name].MODE == "production" &&
      local.environment[name].STORE == "s3://bucket" &&
      local.environment[name].PUBLIC_URL == "https://d111111abcdef8.cloudfront.net" &&
      local.environment[name].METRICS_PORT == 9090
    ])
    error_message = "A service is told something else."
  }

  assert {
    condition     = contains(jsondecode(aws_ecs_task_definition.service["delivery"].container_definitions)[0].environment, { name = "CACHE_MAX_BYTES", value = "21474836480" })
    error_message = "The bound of the cache is not told in plain digits."
  }

  assert {
    condition = alltrue([for name, task in aws_ecs_task_definition.service :
      local.environment[name].CACHE_MAX_BYTES + 15 * 1024 * 1024 * 1024 < task.ephemeral_storage[0].size_in_gib * 1024 * 1024 * 1024 &&
      task.ephemeral_storage[0].size_in_gib >= 21
    ])
    error_message = "The cache can fill the disk, or Fargate does not sell so little."
  }

  assert {
    condition     = alltrue([for group in aws_lb_target_group.service : group.health_check[0].path == "/healthz" && group.health_check[0].port == "9090"])
    error_message = "ECS would replace tasks that are alive but not ready, and their caches with them."
  }

  assert {
    condition     = toset(keys(aws_appautoscaling_policy.cpu)) == toset(["delivery", "messaging"]) && toset(keys(aws_appautoscaling_policy.requests)) == toset(["delivery", "messaging"])
    error_message = "A service does not grow."
  }

  assert {
    condition     = aws_appautoscaling_target.service["delivery"].min_capacity == 2 && aws_appautoscaling_target.service["delivery"].max_capacity == 10
    error_message = "Delivery does not grow from two tasks to ten."
  }

  assert {
    condition     = alltrue([for service in aws_ecs_service.service : service.deployment_circuit_breaker[0].rollback])
    error_message = "A broken image stays."
  }

  assert {
    condition     = aws_ecr_repository.medialink.image_tag_mutability == "IMMUTABLE" && aws_ecr_repository.medialink.image_scanning_configuration[0].scan_on_push
    error_message = "A tag can be moved, or images are not scanned."
  }
}

run "delivery_knows_who_its_clients_are_and_how_much_each_may_cause" {
  variables {
    vpc_cidr = "10.48.0.0/18"
  }

  assert {
    condition     = local.environment["delivery"].TRUSTED_PROXIES == "10.48.0.0/18,192.0.2.0/24,203.0.113.0/24"
    error_message = "The load balancer, or CloudFront, would be the one client that all are."
  }

  assert {
    condition     = contains(jsondecode(aws_ecs_task_definition.service["delivery"].container_definitions)[0].environment, { name = "MISSES_PER_MINUTE", value = "6000" })
    error_message = "A client of delivery may cause any amount of work."
  }

  assert {
    condition = length(setintersection(
      ["MISSES_PER_MINUTE", "TRUSTED_PROXIES"], jsondecode(aws_ecs_task_definition.service["messaging"].container_definitions)[0].environment[*].name
    )) == 0
    error_message = "Messaging limits callers who have a key."
  }
}

run "no_limit_and_no_traces_are_not_told" {
  variables {
    misses_per_minute = null
  }

  assert {
    condition = alltrue(flatten([for task in aws_ecs_task_definition.service : [
      for variable in jsondecode(task.container_definitions)[0].environment :
      variable.value != null && variable.value != "" && variable.name != "MISSES_PER_MINUTE" && !startswith(variable.name, "OTEL_")
    ]]))
    error_message = "A task is told something empty, a limit or a collector."
  }

  assert {
    condition     = length(aws_vpc_security_group_egress_rule.tasks_to_traces) == 0
    error_message = "A way out is open for nobody."
  }
}

run "traces_go_to_the_collector_and_nowhere_else" {
  variables {
    traces   = { endpoint = "http://collector.internal:4318", cidr_blocks = ["10.0.9.0/28"] }
    settings = { OTEL_TRACES_SAMPLER = "traceidratio", OTEL_TRACES_SAMPLER_ARG = "0.01" }
  }

  assert {
    condition = alltrue([for name in ["delivery", "messaging"] :
      local.environment[name].OTEL_EXPORTER_OTLP_ENDPOINT == "http://collector.internal:4318" &&
      local.environment[name].OTEL_SERVICE_NAME == "medialink-${name}" &&
      local.environment[name].OTEL_TRACES_SAMPLER == "traceidratio"
    ])
    error_message = "A service does not know the collector, or its own name."
  }

  assert {
    condition = length(aws_vpc_security_group_egress_rule.tasks_to_traces) == 2 && alltrue([
      for rule in aws_vpc_security_group_egress_rule.tasks_to_traces : rule.cidr_ipv4 == "10.0.9.0/28" && rule.from_port == 4318 && rule.to_port == 4318
    ])
    error_message = "The collector cannot be reached, or more than it can."
  }
}

run "a_collector_without_a_port_has_that_of_its_scheme" {
  variables {
    traces = { endpoint = "https://collector.example.com", cidr_blocks = ["10.0.9.0/28"] }
  }

  assert {
    condition     = toset(values(aws_vpc_security_group_egress_rule.tasks_to_traces)[*].to_port) == toset([443])
    error_message = "The collector cannot be reached."
  }
}

run "delivery_says_503_before_cloudfront_says_504" {
  variables {
    origin_timeout_s = 5
  }

  assert {
    condition     = local.environment["delivery"].WAIT_LIMIT_S < one([for origin in aws_cloudfront_distribution.media.origin : origin.vpc_origin_config[0].origin_read_timeout if origin.origin_id == "delivery"])
    error_message = "CloudFront gives up before the service does."
  }
}

run "messaging_alone_hears_of_the_gateway_and_of_who_gets_webhooks" {
  variables {
    reach               = { webhooks = "cdn", gateway = "cdn" }
    forward_webhooks_to = "https://crm.example.com/webhooks?from=whatsapp"
    webhook_secrets     = ["META_APP_SECRET", "META_VERIFY_TOKEN"]
    settings            = { WABA_KEY = "caller", LEDGER_RETENTION_DAYS = "30", STRICT = "true" }
  }

  assert {
    condition = [for name in ["FORWARD_WEBHOOKS_TO", "WABA_KEY", "LEDGER_RETENTION_DAYS", "STRICT"] : lookup(local.environment["messaging"], name, "")] == [
      "https://crm.example.com/webhooks?from=whatsapp", "caller", "30", "true",
    ]
    error_message = "Messaging is not told what was chosen."
  }

  assert {
    condition = toset([for variable in jsondecode(aws_ecs_task_definition.service["delivery"].container_definitions)[0].environment : variable.name]) == toset([
      "MODE", "DATA_DIR", "STORE", "S3_REGION", "PUBLIC_URL", "LISTEN_HOST", "LISTEN_PORT", "METRICS_PORT", "LOG_FORMAT",
      "CACHE_MAX_BYTES", "DECODE_SLOTS", "WAIT_LIMIT_S", "MISSES_PER_MINUTE", "TRUSTED_PROXIES", "STRICT",
    ])
    error_message = "Delivery is told more than its work needs: with a WABA_KEY and no GATEWAY_KEYS it would not start."
  }

  assert {
    condition = toset(jsondecode(aws_ecs_task_definition.service["messaging"].container_definitions)[0].secrets[*].name) == toset([
      "LINK_KEYS", "D360_API_KEY", "LEDGER_KEY", "PGPASSWORD", "GATEWAY_KEYS", "META_APP_SECRET", "META_VERIFY_TOKEN",
    ])
    error_message = "Meta's secrets are missing, or one is asked for that nobody fills."
  }
}

run "fetches_are_noted_by_a_delivery_that_cannot_read_numbers" {
  variables {
    record_fetches = true
  }

  assert {
    condition     = local.environment["delivery"].RECORD_FETCHES == "true" && local.environment["delivery"].LEDGER_URL == local.environment["messaging"].LEDGER_URL
    error_message = "Delivery does not note fetches, or not where messaging looks."
  }

  assert {
    condition = { for secret in jsondecode(aws_ecs_task_definition.service["delivery"].container_definitions)[0].secrets : secret.name => secret.valueFrom } == {
      LINK_KEYS  = aws_secretsmanager_secret.setting["LINK_KEYS"].arn
      LEDGER_KEY = aws_secretsmanager_secret.setting["DELIVERY_LEDGER_KEY"].arn
      PGPASSWORD = aws_secretsmanager_secret.setting["PGPASSWORD"].arn
    }
    error_message = "Delivery lacks a secret, or holds the key that hides numbers."
  }

  assert {
    condition = alltrue([for statement in jsondecode(aws_iam_role_policy.agent["delivery"].policy).Statement :
      toset(statement.Resource) == toset([for drawer in ["LINK_KEYS", "DELIVERY_LEDGER_KEY", "PGPASSWORD"] : aws_secretsmanager_secret.setting[drawer].arn])
      if statement.Action == "secretsmanager:GetSecretValue"
    ])
    error_message = "Delivery's agent cannot read its secrets, or reads others."
  }

  assert {
    condition     = !contains(jsondecode(aws_ecs_task_definition.service["messaging"].container_definitions)[0].secrets[*].name, "DELIVERY_LEDGER_KEY")
    error_message = "Messaging is given what is no setting."
  }

  assert {
    condition = (
      aws_vpc_security_group_egress_rule.delivery_to_aurora[0].referenced_security_group_id == aws_security_group.ledger[0].id &&
      aws_vpc_security_group_ingress_rule.ledger_from_delivery[0].referenced_security_group_id == aws_security_group.tasks["delivery"].id &&
      aws_vpc_security_group_ingress_rule.ledger_from_delivery[0].from_port == 5432
    )
    error_message = "Delivery cannot reach the ledger, and would not start."
  }
}

run "fetches_are_noted_in_a_ledger_of_ones_own" {
  variables {
    record_fetches     = true
    ledger_url         = "postgresql+psycopg://medialink@ledger.internal:6432/medialink?sslmode=verify-full"
    ledger_cidr_blocks = ["10.0.7.0/24"]
  }

  assert {
    condition     = aws_vpc_security_group_egress_rule.delivery_to_ledger["10.0.7.0/24"].to_port == 6432 && length(aws_vpc_security_group_egress_rule.delivery_to_aurora) == 0
    error_message = "Delivery cannot reach the ledger, and would not start."
  }
}
