mock_provider "aws" {
  source = "./tests/mocks"
}

variables {
  may_invalidate = true
}

run "roles_may_do_what_they_must" {
  assert {
    condition = alltrue(flatten([for policy in concat(
      values(aws_iam_role_policy.agent)[*].policy,
      [aws_iam_role_policy.delivery_media.policy, aws_iam_role_policy.messaging_media.policy, aws_iam_role_policy.flow_log.policy],
      aws_iam_role_policy.messaging_invalidates[*].policy,
      ) : [for statement in jsondecode(policy).Statement : [
        for action in flatten([statement.Action]) : !strcontains(action, "*")
    ]]]))
    error_message = "An action has a wildcard."
  }

  assert {
    condition = alltrue(flatten([for policy in concat(
      values(aws_iam_role_policy.agent)[*].policy,
      [aws_iam_role_policy.delivery_media.policy, aws_iam_role_policy.messaging_media.policy, aws_iam_role_policy.flow_log.policy],
      aws_iam_role_policy.messaging_invalidates[*].policy,
      ) : [for statement in jsondecode(policy).Statement :
      !contains(flatten([statement.Resource]), "*") || statement.Action == "ecr:GetAuthorizationToken"
    ]]))
    error_message = "A resource is everything."
  }

  assert {
    condition = alltrue([for policy in [aws_iam_role_policy.delivery_media.policy, aws_iam_role_policy.messaging_media.policy] :
      toset(flatten([for statement in jsondecode(policy).Statement : statement.Action])) == toset([
        "s3:ListBucket", "s3:GetObject", "s3:GetObjectVersion", "s3:PutObject", "kms:Decrypt", "kms:GenerateDataKey",
      ])
    ])
    error_message = "A task may do something else to media."
  }

  assert {
    condition = alltrue(flatten([for policy in [aws_iam_role_policy.delivery_media.policy, aws_iam_role_policy.messaging_media.policy] :
      [for statement in jsondecode(policy).Statement : statement.Resource == "arn:aws:s3:::bucket/.medialink/*" if contains(flatten([statement.Action]), "s3:PutObject")]
    ]))
    error_message = "A task may overwrite a source."
  }

  assert {
    condition = alltrue([for role in concat(values(aws_iam_role.task), values(aws_iam_role.agent)) :
      alltrue([for statement in jsondecode(role.assume_role_policy).Statement :
        statement.Principal.Service == "ecs-tasks.amazonaws.com" && statement.Condition.StringEquals["aws:SourceAccount"] == "000000000000"
      ])
    ])
    error_message = "Somebody else may take a role."
  }

  assert {
    condition     = jsondecode(aws_kms_key.data.policy).Statement[*].Principal == [{ AWS = "arn:aws:iam::000000000000:root" }, { Service = "logs.eu-central-1.amazonaws.com" }]
    error_message = "Somebody else is in the key's policy."
  }

  assert {
    condition     = jsondecode(aws_iam_role_policy.messaging_invalidates[0].policy).Statement[0].Resource == aws_cloudfront_distribution.media.arn
    error_message = "Other distributions can be invalidated."
  }
}

run "nobody_invalidates_unless_asked" {
  variables {
    may_invalidate = false
  }

  assert {
    condition     = length(aws_iam_role_policy.messaging_invalidates) == 0
    error_message = "Messaging may invalidate."
  }
}
