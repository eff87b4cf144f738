# The ledger: Aurora Serverless made here, or a PostgreSQL of your own (ledger_url).

locals {
  makes_aurora = var.ledger_url == null
  ledger_port  = local.makes_aurora ? 5432 : tonumber(try(regex("@[^/]*:([0-9]+)/", var.ledger_url)[0], "5432"))

  # The user is not the master, whose password RDS turns every week; README says how it is made.
  ledger_url = local.makes_aurora ? "postgresql+psycopg://medialink@${aws_rds_cluster.ledger[0].endpoint}:5432/medialink?sslmode=require" : var.ledger_url
}

resource "aws_rds_cluster" "ledger" {
  # checkov:skip=CKV_AWS_133: Aurora keeps backups for aurora.backup_days, 7 to 35; the check cannot see through the object
  # checkov:skip=CKV2_AWS_8: as above; a plan of AWS Backup would keep them twice
  # checkov:skip=CKV2_AWS_27: the log of queries would be a second copy of the ledger, kept elsewhere and read by others
  count                               = local.makes_aurora ? 1 : 0
  cluster_identifier                  = "${var.name}-ledger"
  engine                              = "aurora-postgresql"
  engine_mode                         = "provisioned"
  engine_version                      = var.aurora.version
  database_name                       = "medialink"
  master_username                     = "postgres"
  manage_master_user_password         = true
  master_user_secret_kms_key_id       = aws_kms_key.data.arn
  iam_database_authentication_enabled = true
  enable_http_endpoint                = true
  storage_encrypted                   = true
  kms_key_id                          = aws_kms_key.data.arn
  db_subnet_group_name                = aws_db_subnet_group.ledger[0].name
  vpc_security_group_ids              = [aws_security_group.ledger[0].id]
  backup_retention_period             = var.aurora.backup_days
  copy_tags_to_snapshot               = true
  final_snapshot_identifier           = "${var.name}-ledger-final"
  deletion_protection                 = var.protected
  enabled_cloudwatch_logs_exports     = ["postgresql"]

  serverlessv2_scaling_configuration {
    min_capacity = var.aurora.min_acu
    max_capacity = var.aurora.max_acu
  }
}

resource "aws_rds_cluster_instance" "ledger" {
  # checkov:skip=CKV_AWS_118: Performance Insights tells load by query; a serverless host has no system of ours to watch
  count                           = local.makes_aurora ? var.aurora.instances : 0
  identifier                      = "${var.name}-ledger-${count.index}"
  cluster_identifier              = aws_rds_cluster.ledger[0].id
  engine                          = aws_rds_cluster.ledger[0].engine
  engine_version                  = aws_rds_cluster.ledger[0].engine_version
  instance_class                  = "db.serverless"
  publicly_accessible             = false
  auto_minor_version_upgrade      = true
  copy_tags_to_snapshot           = true
  performance_insights_enabled    = true
  performance_insights_kms_key_id = aws_kms_key.data.arn
}

resource "aws_db_subnet_group" "ledger" {
  count      = local.makes_aurora ? 1 : 0
  name       = "${var.name}-ledger"
  subnet_ids = aws_subnet.inside[*].id
}

resource "aws_security_group" "ledger" {
  count       = local.makes_aurora ? 1 : 0
  name        = "${var.name}-ledger"
  description = "The ledger's database"
  vpc_id      = aws_vpc.main.id
}

resource "aws_vpc_security_group_ingress_rule" "ledger_from_messaging" {
  count                        = local.makes_aurora ? 1 : 0
  security_group_id            = aws_security_group.ledger[0].id
  description                  = "Messaging"
  referenced_security_group_id = aws_security_group.tasks["messaging"].id
  ip_protocol                  = "tcp"
  from_port                    = local.ledger_port
  to_port                      = local.ledger_port
}

resource "aws_vpc_security_group_ingress_rule" "ledger_from_delivery" {
  count                        = var.record_fetches && local.makes_aurora ? 1 : 0
  security_group_id            = aws_security_group.ledger[0].id
  description                  = "Delivery, which notes fetches"
  referenced_security_group_id = aws_security_group.tasks["delivery"].id
  ip_protocol                  = "tcp"
  from_port                    = local.ledger_port
  to_port                      = local.ledger_port
}
