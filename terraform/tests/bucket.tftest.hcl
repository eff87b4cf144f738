mock_provider "aws" {
  source = "./tests/mocks"
}

variables {
  forward_webhooks_to = "none"
}

run "media_are_private_sealed_and_outlive_their_links" {
  assert {
    condition = alltrue([
      aws_s3_bucket_public_access_block.media.block_public_acls,
      aws_s3_bucket_public_access_block.media.block_public_policy,
      aws_s3_bucket_public_access_block.media.ignore_public_acls,
      aws_s3_bucket_public_access_block.media.restrict_public_buckets,
    ])
    error_message = "One of the four ways to be public is open."
  }

  assert {
    condition     = aws_s3_bucket_ownership_controls.media.rule[0].object_ownership == "BucketOwnerEnforced"
    error_message = "ACLs count."
  }

  assert {
    condition     = alltrue([for statement in jsondecode(aws_s3_bucket_policy.media.policy).Statement : statement.Effect == "Deny"])
    error_message = "The bucket's policy allows something to somebody."
  }

  assert {
    condition = anytrue([for statement in jsondecode(aws_s3_bucket_policy.media.policy).Statement :
      statement.Effect == "Deny" && statement.Principal == "*" && try(statement.Condition.Bool["aws:SecureTransport"] == "false", false)
    ])
    error_message = "Plain HTTP is not denied."
  }

  assert {
    condition = anytrue([for statement in jsondecode(aws_s3_bucket_policy.media.policy).Statement :
      statement.Effect == "Deny" && try(statement.Condition.NumericLessThan["s3:TlsVersion"] == "1.2", false)
    ])
    error_message = "Old TLS is not denied."
  }

  assert {
    condition = alltrue([for rule in aws_s3_bucket_server_side_encryption_configuration.media.rule :
      rule.apply_server_side_encryption_by_default[0].sse_algorithm == "aws:kms" &&
      rule.apply_server_side_encryption_by_default[0].kms_master_key_id == aws_kms_key.data.arn
    ])
    error_message = "The bucket is not encrypted with the key of this installation."
  }

  assert {
    condition     = aws_kms_key.data.enable_key_rotation
    error_message = "The key is never turned."
  }

  assert {
    condition     = aws_s3_bucket_versioning.media.versioning_configuration[0].status == "Enabled"
    error_message = "Without versions an overwritten file is a dead link."
  }

  assert {
    condition = alltrue([for rule in aws_s3_bucket_lifecycle_configuration.media.rule :
      alltrue([for old in rule.noncurrent_version_expiration : old.noncurrent_days >= 366])
    ])
    error_message = "Old versions go before the year of max-age is over."
  }

  assert {
    condition = alltrue(flatten([for rule in aws_s3_bucket_lifecycle_configuration.media.rule :
      [for expiration in rule.expiration : expiration.expired_object_delete_marker && try(expiration.days, 0) == 0]
    ]))
    error_message = "Something current expires by age, and renditions and takedowns with it."
  }

  assert {
    condition = anytrue(flatten([for rule in aws_s3_bucket_lifecycle_configuration.media.rule :
      [for abort in rule.abort_incomplete_multipart_upload : abort.days_after_initiation == 1]
    ]))
    error_message = "Parts of aborted uploads stay for ever."
  }
}
