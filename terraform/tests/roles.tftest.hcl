mock_provider "aws" {
  source = "./tests/mocks"
}

variables {
  forward_webhooks_to = "none"
}

run "roles_may_do_what_they_must" {
  assert {
    condition = alltrue(flatten([for policy in concat(
      values(aws_iam_role_policy.agent)[*].policy,
      [aws_iam_role_policy.delivery_media.policy, aws_iam_role_policy.messaging_media.policy, aws_iam_role_policy.flow_log.policy],
      [aws_iam_policy.takedown.policy],
      ) : [for statement in jsondecode(policy).Statement : [
        for action in flatten([statement.Action]) : !strcontains(action, "*")
    ]]]))
    error_message = "An action has a wildcard."
  }

  assert {
    condition = alltrue(flatten([for policy in concat(
      values(aws_iam_role_policy.agent)[*].policy,
      [aws_iam_role_policy.delivery_media.policy, aws_iam_role_policy.messaging_media.policy, aws_iam_role_policy.flow_log.policy],
      [aws_iam_policy.takedown.policy],
      ) : [for statement in jsondecode(policy).Statement :
      !contains(flatten([statement.Resource]), "*") || statement.Action == "ecr:GetAuthorizationToken"
    ]]))
    error_message = "A resource is everything."
  }

  assert {
    condition = alltrue([for policy in [aws_iam_role_policy.delivery_media.policy, aws_iam_role_policy.messaging_media.policy] :
      toset(flatten([for statement in jsondecode(policy).Statement : statement.Action])) == toset([
        "s3:ListBucket", "s3:GetBucketVersioning", "s3:GetObject", "s3:GetObjectVersion", "s3:PutObject",
        "kms:Decrypt", "kms:GenerateDataKey",
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
    condition = alltrue(flatten([for policy in [aws_iam_role_policy.delivery_media.policy, aws_iam_role_policy.messaging_media.policy] :
      [for statement in jsondecode(policy).Statement : [for action in flatten([statement.Action]) :
        contains(jsondecode(aws_vpc_endpoint.s3.policy).Statement[0].Action, action) if startswith(action, "s3:")
      ]]
    ]))
    error_message = "The way to S3 is closed for something that a role allows."
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
}

run "nothing_is_imported_unless_that_is_asked_for" {
  assert {
    condition     = length(aws_iam_role_policy.messaging_imports) == 0
    error_message = "A task may write among the media."
  }
}

run "imports_have_a_place_of_their_own" {
  variables {
    settings = { FOREIGN_LINKS = "import", IMPORT_HOSTS = "files.example.com" }
  }

  assert {
    condition = [for statement in jsondecode(aws_iam_role_policy.messaging_imports[0].policy).Statement : [statement.Action, statement.Resource]] == [
      ["s3:PutObject", "arn:aws:s3:::bucket/imported/*"]
    ]
    error_message = "Imports cannot be written, or something else can."
  }
}

run "who_takes_down_may_do_that_and_no_more" {
  assert {
    condition = toset(flatten([for statement in jsondecode(aws_iam_policy.takedown.policy).Statement : statement.Action])) == toset([
      "s3:ListBucket", "s3:GetObject", "s3:PutObject", "s3:DeleteObject", "kms:Decrypt", "kms:GenerateDataKey",
      "cloudfront:CreateInvalidation", "secretsmanager:GetSecretValue",
    ])
    error_message = "The command lacks something, or its user may do something else."
  }

  assert {
    condition = alltrue([for statement in jsondecode(aws_iam_policy.takedown.policy).Statement :
      statement.Resource == "arn:aws:s3:::bucket/.medialink/takedowns/*"
      if length(setintersection(flatten([statement.Action]), ["s3:GetObject", "s3:PutObject", "s3:DeleteObject"])) > 0
    ])
    error_message = "Whoever takes down may read, overwrite or delete media."
  }

  assert {
    condition = alltrue([for statement in jsondecode(aws_iam_policy.takedown.policy).Statement :
      statement.Resource == "arn:aws:cloudfront::000000000000:distribution/EDFDVBD6EXAMPLE" if statement.Action == "cloudfront:CreateInvalidation"
    ])
    error_message = "Other distributions can be invalidated."
  }

  assert {
    condition = alltrue([for statement in jsondecode(aws_iam_policy.takedown.policy).Statement :
      statement.Resource == aws_secretsmanager_secret.setting["LINK_KEYS"].arn if statement.Action == "secretsmanager:GetSecretValue"
    ])
    error_message = "Whoever takes down may read other secrets than the keys of links."
  }

  assert {
    condition = output.takedown.settings == {
      STORE                      = "s3://bucket"
      S3_REGION                  = "eu-central-1"
      PUBLIC_URL                 = "https://d111111abcdef8.cloudfront.net"
      ALIAS_PREFIXES             = ""
      CLOUDFRONT_DISTRIBUTION_ID = "EDFDVBD6EXAMPLE"
    }
    error_message = "The command is told another store, address or distribution."
  }
}
