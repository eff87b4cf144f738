mock_provider "aws" {
  source = "./tests/mocks"
}

run "minimal_stands" {
  module {
    source = "./examples/minimal"
  }

  assert {
    condition     = output.medialink.public_url == "https://d111111abcdef8.cloudfront.net"
    error_message = "Links do not begin with CloudFront's own name."
  }

  assert {
    condition     = contains(keys(output.medialink.secrets), "GATEWAY_KEYS")
    error_message = "The gateway has no keys."
  }
}

run "complete_stands" {
  variables {
    image_tag              = "1.2.3"
    domain                 = "media.example.com"
    zone_id                = "Z0000000000000"
    origin_certificate_arn = "arn:aws:acm:eu-central-1:000000000000:certificate/origin"
    web_acl_arn            = "arn:aws:wafv2:us-east-1:000000000000:global/webacl/a/b"
    alarm_email            = "ops@example.com"
  }

  module {
    source = "./examples/complete"
  }

  assert {
    condition     = output.medialink.public_url == "https://media.example.com" && output.medialink.ledger == null
    error_message = "The own domain, or the own ledger, is not used."
  }
}
