# The drawers only. Values are put in by hand (README), so that none is ever in the state or in a plan.

locals {
  secrets = merge(
    {
      LINK_KEYS    = "Signing keys of links: id:base64url, comma-separated; the first mints"
      D360_API_KEY = "The provider's key"
      LEDGER_KEY   = "Base64url key of the hash that stands for phone numbers"
      PGPASSWORD   = "Password of the ledger's user; libpq reads it from the environment"
    },
    var.reach.gateway == "none" ? {} : { GATEWAY_KEYS = "SHA-256 (hex) of each key that may call" },
    var.reach.webhooks == "none" ? {} : { WEBHOOK_SECRET = "What X-Webhook-Secret says on status webhooks" },
  )
}

resource "aws_secretsmanager_secret" "setting" {
  # checkov:skip=CKV2_AWS_57: turning these by a clock would break links, callers and webhooks; README says how each is turned
  for_each                = local.secrets
  name_prefix             = "${var.name}/${each.key}-"
  description             = each.value
  kms_key_id              = aws_kms_key.data.arn
  recovery_window_in_days = 30
}
