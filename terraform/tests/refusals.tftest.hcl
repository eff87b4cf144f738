# Each run makes one mistake in each of several variables; every one of them must be named.

mock_provider "aws" {
  source = "./tests/mocks"
}

run "sqlite_a_short_year_and_unreachable_messaging_are_refused" {
  command = plan

  variables {
    ledger_url         = "sqlite:////data/ledger.sqlite3"
    ledger_cidr_blocks = ["10.0.7.0/24"]
    link_days          = 365
    reach              = { webhooks = "none", gateway = "none" }
    alias_prefixes     = [""]
    image_tag          = "latest"
    domain             = { name = "media.example.com", zone_id = "Z0000000000000", certificate_arn = "arn:aws:acm:us-east-1:000000000000:certificate/brought" }
    web_acl_arn        = "arn:aws:wafv2:eu-central-1:000000000000:regional/webacl/a/b"
    sizes              = { delivery = { cpu = 1024, memory_mib = 3000 } }
    zones              = ["a"]
    misses_per_minute  = 5
    traces             = { endpoint = "collector.internal:4318", cidr_blocks = ["10.0.9.0/28"] }
  }

  expect_failures = [
    var.ledger_url, var.link_days, var.reach, var.alias_prefixes, var.image_tag, var.domain,
    var.web_acl_arn, var.sizes, var.zones, var.misses_per_minute, var.traces,
  ]
}

run "passwords_in_urls_and_gateways_without_tls_are_refused" {
  command = plan

  variables {
    ledger_url          = "postgresql+psycopg://medialink:secret@ledger.internal/medialink"
    ledger_cidr_blocks  = ["10.0.7.0/24"]
    reach               = { gateway = "private" }
    gateway_cidr_blocks = ["0.0.0.0/0"]
    settings            = { DATA_DIR = "/elsewhere" }
    domain              = { name = "my_media.example.com", zone_id = "Z0000000000000" }
    sizes               = { messaging = { cache_gib = 190 } }
    zones               = ["a", "a"]
    misses_per_minute   = 1000001
    traces              = { endpoint = "http://collector.internal:4318", cidr_blocks = ["0.0.0.0/0"] }
    forward_webhooks_to = "https://user:password@crm.example.com/webhooks"
    webhook_secrets     = ["META_VERIFY_TOKEN"]
  }

  expect_failures = [
    var.ledger_url, var.gateway_cidr_blocks, var.origin_certificate, var.settings, var.domain, var.sizes, var.zones,
    var.misses_per_minute, var.traces, var.forward_webhooks_to, var.webhook_secrets,
  ]
}

run "doors_that_lead_nowhere_are_refused" {
  command = plan

  variables {
    ledger_url          = "postgresql+psycopg://medialink@ledger.internal/medialink"
    gateway_cidr_blocks = ["10.0.0.0/16"]
    domain              = { name = "media.example.com", certificate_arn = "arn:aws:acm:eu-central-1:000000000000:certificate/far" }
    origin_certificate  = { domain = "media.example.com", arn = "arn:aws:iam::000000000000:server-certificate/old" }
    settings            = { HEAVY_IMAGE_BYTE = "500000" }
    misses_per_minute   = 600.5
    traces              = { endpoint = "http://user:password@collector.internal:4318", cidr_blocks = ["10.0.9.0/28"] }
    forward_webhooks_to = "https://crm.internal:8443/webhooks"
    webhook_secrets     = []
  }

  expect_failures = [
    var.ledger_cidr_blocks, var.gateway_cidr_blocks, var.domain, var.origin_certificate, var.settings,
    var.misses_per_minute, var.traces, var.forward_webhooks_to, var.webhook_secrets,
  ]
}

run "webhooks_that_nobody_is_told_to_get_and_a_waba_that_nobody_reaches_are_refused" {
  command = plan

  variables {
    settings        = { WABA_KEY = "house" }
    webhook_secrets = ["D360_API_KEY"]
  }

  expect_failures = [var.forward_webhooks_to, var.settings, var.webhook_secrets]
}

run "imports_from_nowhere_and_customers_words_in_the_clear_are_refused" {
  command = plan

  variables {
    forward_webhooks_to = "http://crm.example.com/webhooks"
    settings            = { FOREIGN_LINKS = "import" }
  }

  expect_failures = [var.forward_webhooks_to, var.settings]
}

run "what_has_a_variable_of_its_own_is_no_setting" {
  command = plan

  variables {
    forward_webhooks_to = "https://crm.example.com/webhooks#there"
    settings            = { RECORD_FETCHES = "true" }
  }

  expect_failures = [var.forward_webhooks_to, var.settings]
}

run "a_secret_is_no_setting" {
  command = plan

  variables {
    forward_webhooks_to = "none"
    settings            = { D360_API_KEY = "key" }
  }

  expect_failures = [var.settings]
}

run "without_webhooks_nothing_has_to_be_said_of_them" {
  command = plan

  variables {
    reach           = { webhooks = "none", gateway = "cdn" }
    webhook_secrets = []
  }

  assert {
    condition     = length(setintersection(keys(local.secrets), keys(local.secrets_of_webhooks))) == 0
    error_message = "There is a drawer that nobody fills: messaging would not start."
  }
}
