mock_provider "aws" {
  source = "./tests/mocks"
}

variables {
  forward_webhooks_to = "none"
}

run "aurora_is_sealed_backed_up_and_has_a_user_of_its_own" {
  assert {
    condition     = aws_rds_cluster.ledger[0].storage_encrypted && aws_rds_cluster.ledger[0].kms_key_id == aws_kms_key.data.arn
    error_message = "The ledger is not encrypted with the key of this installation."
  }

  assert {
    condition     = aws_rds_cluster.ledger[0].backup_retention_period == 14 && aws_rds_cluster.ledger[0].deletion_protection
    error_message = "The ledger can be lost."
  }

  assert {
    condition     = aws_rds_cluster.ledger[0].manage_master_user_password
    error_message = "The master's password is in the state."
  }

  assert {
    condition     = length(aws_rds_cluster_instance.ledger) == 2
    error_message = "The ledger does not survive the loss of a zone."
  }

  assert {
    condition     = local.environment["messaging"].LEDGER_URL == "postgresql+psycopg://medialink@ledger.cluster.example:5432/medialink?sslmode=require"
    error_message = "The URL is another: does it hold a password?"
  }
}

run "a_ledger_of_ones_own_is_used" {
  variables {
    ledger_url         = "postgresql+psycopg://medialink@ledger.internal:6432/medialink?sslmode=verify-full"
    ledger_cidr_blocks = ["10.0.7.0/24"]
  }

  assert {
    condition     = length(aws_rds_cluster.ledger) + length(aws_rds_cluster_instance.ledger) + length(aws_cloudwatch_metric_alarm.ledger) == 0
    error_message = "Aurora is made all the same."
  }

  assert {
    condition     = aws_vpc_security_group_egress_rule.messaging_to_ledger["10.0.7.0/24"].to_port == 6432
    error_message = "Messaging cannot reach the ledger."
  }
}
