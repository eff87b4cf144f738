# An own domain, TLS up to the load balancer, a gateway for the company's network only, webhooks by Meta's signature that go on to
# a system of one's own, and a PostgreSQL that exists, in which fetches are noted, too.

terraform {
  required_version = "~> 1.11"

  required_providers {
    aws = {
      source  = "hashicorp/aws"
      version = "~> 6.45"
    }
  }
}

provider "aws" {
  region = "eu-central-1"
}

module "medialink" {
  source = "../.."

  name             = "medialink-prod"
  image_tag        = var.image_tag
  cpu_architecture = "ARM64"

  vpc_cidr     = "10.48.0.0/18"
  zones        = ["a", "b", "c"]
  nat_per_zone = true

  domain             = { name = var.domain, zone_id = var.zone_id }
  origin_certificate = { domain = var.domain, arn = var.origin_certificate_arn }
  web_acl_arn        = var.web_acl_arn
  price_class        = "PriceClass_All"

  reach               = { webhooks = "cdn", gateway = "private" }
  gateway_cidr_blocks = ["10.0.0.0/16"]

  webhook_secrets     = ["META_APP_SECRET", "META_VERIFY_TOKEN"]
  forward_webhooks_to = "https://crm.example.com/webhooks"

  ledger_url         = "postgresql+psycopg://medialink@ledger.internal:5432/medialink?sslmode=verify-full"
  ledger_cidr_blocks = ["10.0.7.0/24"]
  record_fetches     = true

  alias_prefixes    = ["public/"]
  misses_per_minute = 12000
  traces            = { endpoint = "http://collector.internal:4318", cidr_blocks = ["10.0.9.0/28"] }

  settings = {
    LINK_NAMES   = "false"
    PREFIX_RULES = "public/=stale-while-revalidate=60"
    PROVIDER_URL = "https://graph.facebook.com"
    WABA_KEY     = "caller"
  }

  sizes = {
    delivery  = { cpu = 2048, memory_mib = 6144, cache_gib = 100, min_tasks = 3, max_tasks = 30 }
    messaging = { min_tasks = 2, max_tasks = 6 }
  }

  alarm_email = var.alarm_email
  alarm_at    = { latency_p95_s = 0.5, failed_media = 1 }
}
