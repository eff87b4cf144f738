# What AWS would say, where the code reads it.

mock_data "aws_caller_identity" {
  defaults = { account_id = "000000000000" }
}

mock_data "aws_partition" {
  defaults = { partition = "aws" }
}

mock_data "aws_region" {
  defaults = { region = "eu-central-1" }
}

mock_data "aws_ec2_managed_prefix_list" {
  defaults = {
    id      = "pl-cloudfront"
    entries = [{ cidr = "203.0.113.0/24", description = "" }, { cidr = "192.0.2.0/24", description = "" }]
  }
}

mock_resource "aws_s3_bucket" {
  defaults = { id = "bucket", arn = "arn:aws:s3:::bucket" }
}

mock_resource "aws_cloudfront_distribution" {
  defaults = {
    id          = "EDFDVBD6EXAMPLE"
    arn         = "arn:aws:cloudfront::000000000000:distribution/EDFDVBD6EXAMPLE"
    domain_name = "d111111abcdef8.cloudfront.net"
  }
}

mock_resource "aws_rds_cluster" {
  defaults = {
    endpoint           = "ledger.cluster.example"
    master_user_secret = [{ secret_arn = "arn:master" }]
  }
}

mock_resource "aws_acm_certificate" {
  defaults = {
    domain_validation_options = [{
      domain_name           = "media.example.com"
      resource_record_name  = "_proof.media.example.com"
      resource_record_type  = "CNAME"
      resource_record_value = "proof.acm.example"
    }]
  }
}
