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
    { for setting, use in local.secrets_of_webhooks : setting => use if var.reach.webhooks != "none" && contains(var.webhook_secrets, setting) },
    var.record_fetches ? { DELIVERY_LEDGER_KEY = "Delivery's own LEDGER_KEY: what it writes down is hidden by none" } : {},
  )

  secrets_of_webhooks = {
    WEBHOOK_SECRET    = "What X-Webhook-Secret says on status webhooks"
    META_APP_SECRET   = "Meta's app secret, the key of X-Hub-Signature-256"
    META_VERIFY_TOKEN = "What Meta shows in its handshake"
  }

  # Drawers by setting. Delivery decodes untrusted bytes: the key that hides numbers and texts is never lent to it.
  drawers = {
    delivery = merge(
      { LINK_KEYS = "LINK_KEYS" },
      var.record_fetches ? { LEDGER_KEY = "DELIVERY_LEDGER_KEY", PGPASSWORD = "PGPASSWORD" } : {},
    )
    messaging = { for setting in keys(local.secrets) : setting => setting if setting != "DELIVERY_LEDGER_KEY" }
  }
}

resource "aws_secretsmanager_secret" "setting" {
  # checkov:skip=CKV2_AWS_57: turning these by a clock would break links, callers and webhooks; README says how each is turned
  for_each                = local.secrets
  name_prefix             = "${var.name}/${each.key}-"
  description             = each.value
  kms_key_id              = aws_kms_key.data.arn
  recovery_window_in_days = 30
}
