# Each setting of medialink stands in one of these lists; tests/cdn/test_terraform.py holds them against proxy/settings.py.

locals {
  # The module knows better, or the tasks have no use for them.
  settings_of_the_module = [
    "ALIAS_PREFIXES", "CACHE_DIR", "CACHE_MAX_BYTES", "CLOUDFRONT_DISTRIBUTION_ID", "DATA_DIR", "DECODE_SLOTS",
    "FORWARD_WEBHOOKS_TO", "LISTEN_HOST", "LISTEN_PORT", "LOG_FORMAT", "METRICS_HOST", "METRICS_PORT", "MISSES_PER_MINUTE",
    "MODE", "PUBLIC_URL", "RECORD_FETCHES", "S3_ENDPOINT_URL", "S3_REGION", "SERVE_ONLY", "STORE", "TRUSTED_PROXIES",
    "WAIT_LIMIT_S",
  ]

  # Secrets lie in Secrets Manager, or need not exist: tasks reach S3 by their roles.
  settings_that_are_secret = [
    "D360_API_KEY", "GATEWAY_KEYS", "LEDGER_KEY", "LEDGER_URL", "LINK_KEYS", "META_APP_SECRET", "META_VERIFY_TOKEN",
    "S3_ACCESS_KEY_ID", "S3_SECRET_ACCESS_KEY", "WEBHOOK_SECRET",
  ]

  # OpenTelemetry's own, of those that the SDK reads; to whom traces go says the variable of that name.
  settings_of_traces = ["OTEL_RESOURCE_ATTRIBUTES", "OTEL_TRACES_SAMPLER", "OTEL_TRACES_SAMPLER_ARG"]

  # Delivery is not told these: it would refuse to start with a WABA_KEY, as it has no GATEWAY_KEYS.
  settings_of_messaging = [
    "FOREIGN_LINKS", "GATEWAY_WAIT_S", "IMPORT_HOSTS", "LEDGER_RETENTION_DAYS", "PROVIDER_TIMEOUT_S", "PROVIDER_URL", "WABA_KEY",
  ]

  settings_of_both = [
    "DECODE_MEMORY_BYTES", "DECODE_QUEUE", "DECODE_TIMEOUT_S", "HEAVY_IMAGE_BYTES", "HEAVY_IMAGE_EDGE_PX", "LINK_NAMES",
    "LOG_LEVEL", "MAX_IMAGE_PIXELS", "MAX_SOURCE_BYTES", "PREFIX_RULES", "STORE_CONNECT_TIMEOUT_S", "STORE_READ_TIMEOUT_S",
    "STORE_THREADS", "STRICT",
  ]
}
