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
    settings           = { D360_API_KEY = "key" }
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
    var.ledger_url, var.link_days, var.reach, var.settings, var.alias_prefixes, var.image_tag, var.domain,
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
  }

  expect_failures = [
    var.ledger_url, var.gateway_cidr_blocks, var.origin_certificate, var.settings, var.domain, var.sizes, var.zones,
    var.misses_per_minute, var.traces,
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
  }

  expect_failures = [
    var.ledger_cidr_blocks, var.gateway_cidr_blocks, var.domain, var.origin_certificate, var.settings,
    var.misses_per_minute, var.traces,
  ]
}
