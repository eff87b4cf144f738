# Traces, where a collector is named; who listens there, the operator runs.

locals {
  traces_port = var.traces == null ? null : tonumber(try(
    regex("^https?://[^/:]+:([0-9]+)", var.traces.endpoint)[0],
    startswith(var.traces.endpoint, "https://") ? "443" : "80",
  ))

  traces_environment = {
    for name in keys(local.services) : name => {
      OTEL_EXPORTER_OTLP_ENDPOINT = var.traces == null ? "" : var.traces.endpoint
      OTEL_SERVICE_NAME           = var.traces == null ? "" : "${var.name}-${name}"
    }
  }

  traces_doors = {
    for pair in setproduct(keys(aws_security_group.tasks), try(var.traces.cidr_blocks, [])) :
    "${pair[0]}-${pair[1]}" => { service = pair[0], block = pair[1] }
  }
}

resource "aws_vpc_security_group_egress_rule" "tasks_to_traces" {
  for_each          = local.traces_doors
  security_group_id = aws_security_group.tasks[each.value.service].id
  description       = "Collector of traces"
  cidr_ipv4         = each.value.block
  ip_protocol       = "tcp"
  from_port         = local.traces_port
  to_port           = local.traces_port
}
