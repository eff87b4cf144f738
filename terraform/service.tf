# Two services from one image; what differs stands in delivery.tf and messaging.tf.

locals {
  services = { delivery = local.delivery, messaging = local.messaging }
  tenants  = var.image_tag == null ? {} : local.services

  user     = "10001:10001"
  disk_gib = 20

  environment = {
    for name, service in local.services : name => merge(local.chosen[name], {
      MODE            = "production"
      DATA_DIR        = "/data"
      STORE           = "s3://${aws_s3_bucket.media.id}"
      S3_REGION       = local.region
      PUBLIC_URL      = local.public_url
      ALIAS_PREFIXES  = join(",", var.alias_prefixes)
      LISTEN_HOST     = "0.0.0.0"
      LISTEN_PORT     = local.service_port
      METRICS_PORT    = local.platform_port
      LOG_FORMAT      = "json"
      CACHE_MAX_BYTES = service.size.cache_gib * 1024 * 1024 * 1024
      DECODE_SLOTS    = local.cores[name]
    }, local.traces_environment[name], service.environment)
  }

  chosen = {
    delivery  = { for setting, value in var.settings : setting => value if !contains(local.settings_of_messaging, setting) }
    messaging = var.settings
  }

  task_doors = {
    for pair in setproduct(keys(aws_security_group.tasks), [local.service_port, local.platform_port]) :
    "${pair[0]}-${pair[1]}" => { service = pair[0], port = pair[1] }
  }

  # Told, because os.cpu_count counts the cores of the system, not the share of it that was bought.
  cores = { for name, service in local.services : name => max(1, floor(service.size.cpu / 1024)) }
}

resource "aws_ecs_cluster" "main" {
  name = var.name

  setting {
    name  = "containerInsights"
    value = "enabled"
  }
}

resource "aws_cloudwatch_log_group" "service" {
  name              = "/${var.name}/service"
  retention_in_days = var.log_days
  kms_key_id        = aws_kms_key.data.arn
}

resource "aws_security_group" "tasks" {
  # checkov:skip=CKV2_AWS_5: the services below wear them; the check cannot follow each.key
  for_each    = toset(["delivery", "messaging"])
  name        = "${var.name}-${each.key}"
  description = "${each.key} tasks"
  vpc_id      = aws_vpc.main.id
}

resource "aws_vpc_security_group_ingress_rule" "tasks_from_balancer" {
  for_each                     = local.task_doors
  security_group_id            = aws_security_group.tasks[each.value.service].id
  description                  = "Load balancer"
  referenced_security_group_id = aws_security_group.balancer.id
  ip_protocol                  = "tcp"
  from_port                    = each.value.port
  to_port                      = each.value.port
}

resource "aws_ecs_task_definition" "service" {
  for_each                 = local.tenants
  family                   = "${var.name}-${each.key}"
  requires_compatibilities = ["FARGATE"]
  network_mode             = "awsvpc"
  cpu                      = each.value.size.cpu
  memory                   = each.value.size.memory_mib
  execution_role_arn       = aws_iam_role.agent[each.key].arn
  task_role_arn            = aws_iam_role.task[each.key].arn

  runtime_platform {
    operating_system_family = "LINUX"
    cpu_architecture        = var.cpu_architecture
  }

  # Image, drafts and the host's share lie on the same disk as the cache.
  ephemeral_storage {
    size_in_gib = each.value.size.cache_gib + local.disk_gib
  }

  volume {
    name = "data"
  }

  volume {
    name = "tmp"
  }

  container_definitions = jsonencode([{
    name                   = each.key
    image                  = "${aws_ecr_repository.medialink.repository_url}:${var.image_tag}"
    command                = ["serve", "--only", each.key, "--workers", tostring(local.cores[each.key])]
    essential              = true
    user                   = local.user
    readonlyRootFilesystem = true
    privileged             = false
    stopTimeout            = 30
    portMappings           = [for port in [local.service_port, local.platform_port] : { containerPort = port, protocol = "tcp" }]
    environment            = [for key, value in local.environment[each.key] : { name = key, value = tostring(value) } if value != ""]
    secrets                = [for setting, drawer in each.value.drawers : { name = setting, valueFrom = aws_secretsmanager_secret.setting[drawer].arn }]

    # The image gives both to its user, and Fargate keeps that owner (ECS guide, bind mounts, VOLUME).
    mountPoints = [
      { sourceVolume = "data", containerPath = "/data", readOnly = false },
      { sourceVolume = "tmp", containerPath = "/tmp", readOnly = false },
    ]

    linuxParameters = { initProcessEnabled = true, capabilities = { drop = ["ALL"] } }

    logConfiguration = {
      logDriver = "awslogs"
      options = {
        awslogs-group         = aws_cloudwatch_log_group.service.name
        awslogs-region        = local.region
        awslogs-stream-prefix = each.key
        mode                  = "non-blocking"
        max-buffer-size       = "4m"
      }
    }
  }])
}

resource "aws_ecs_service" "service" {
  for_each                          = local.tenants
  name                              = each.key
  cluster                           = aws_ecs_cluster.main.id
  task_definition                   = aws_ecs_task_definition.service[each.key].arn
  launch_type                       = "FARGATE"
  platform_version                  = "LATEST"
  desired_count                     = each.value.size.min_tasks
  health_check_grace_period_seconds = 60
  propagate_tags                    = "SERVICE"
  depends_on                        = [aws_lb_listener_rule.cdn, aws_lb_listener_rule.private, aws_iam_role_policy.agent]

  network_configuration {
    subnets          = each.value.subnets
    security_groups  = [aws_security_group.tasks[each.key].id]
    assign_public_ip = false
  }

  load_balancer {
    target_group_arn = aws_lb_target_group.service[each.key].arn
    container_name   = each.key
    container_port   = local.service_port
  }

  deployment_circuit_breaker {
    enable   = true
    rollback = true
  }

  # Autoscaling decides after the first day.
  lifecycle {
    ignore_changes = [desired_count]
  }
}
