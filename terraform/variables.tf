variable "name" {
  description = "What every resource's name begins with; one name an installation and region."
  type        = string
  default     = "medialink"

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{1,18}[a-z0-9]$", var.name))
    error_message = "name: 3 to 20 lower-case letters, digits and hyphens, as a target group's name has at most 32."
  }
}

variable "image_tag" {
  description = "Tag of the image in the repository made here. Null builds the house without tenants: no task runs."
  type        = string
  default     = null

  validation {
    condition     = var.image_tag == null || can(regex("^[A-Za-z0-9_][A-Za-z0-9._-]{0,127}$", var.image_tag))
    error_message = "image_tag: 1 to 128 letters, digits, and . _ -"
  }

  validation {
    condition     = var.image_tag != "latest"
    error_message = "image_tag: latest says nothing of what runs, and tags in this repository cannot be moved."
  }
}

variable "cpu_architecture" {
  description = "What the image was built for: X86_64 or ARM64."
  type        = string
  default     = "X86_64"

  validation {
    condition     = contains(["X86_64", "ARM64"], var.cpu_architecture)
    error_message = "cpu_architecture: X86_64 or ARM64."
  }
}

variable "vpc_cidr" {
  description = "Address block of the VPC made here; from /16 to /20."
  type        = string
  default     = "10.40.0.0/16"

  validation {
    condition     = can(cidrhost(var.vpc_cidr, 0)) && can(regex("/(16|17|18|19|20)$", var.vpc_cidr))
    error_message = "vpc_cidr: an IPv4 block from /16 to /20."
  }
}

variable "zones" {
  description = "Letters of the region's availability zones that the service stands in. Named, so that a new zone moves nothing."
  type        = list(string)
  default     = ["a", "b"]

  validation {
    condition     = contains([2, 3], length(distinct(var.zones))) && length(distinct(var.zones)) == length(var.zones)
    error_message = "zones: two or three different ones; a load balancer needs two."
  }

  validation {
    condition     = alltrue([for zone in var.zones : can(regex("^[a-f]$", zone))])
    error_message = "zones: letters, such as a and b."
  }
}

variable "nat_per_zone" {
  description = "Whether each zone has a NAT gateway of its own. Only messaging uses it; links are served without."
  type        = bool
  default     = false
}

variable "protected" {
  description = "Whether the load balancer and the database refuse to be deleted."
  type        = bool
  default     = true
}

variable "link_days" {
  description = "Days that the version which a link names is kept after it was replaced or deleted."
  type        = number
  default     = 400

  validation {
    condition     = var.link_days >= 366 && floor(var.link_days) == var.link_days
    error_message = "link_days: 366 or more whole days, because links carry max-age=31536000, a year."
  }
}

variable "alias_prefixes" {
  description = "ALIAS_PREFIXES: key prefixes open to unsigned aliases. None: the CDN has no alias path at all."
  type        = set(string)
  default     = []

  validation {
    condition     = alltrue([for prefix in var.alias_prefixes : can(regex("^[^,]+$", prefix))])
    error_message = "alias_prefixes: no prefix may be empty, which would open the bucket, or hold a comma."
  }
}

variable "settings" {
  description = "Further settings of medialink, such as PREFIX_RULES or WABA_KEY (settings.tf lists them, and which only messaging is told)."
  type        = map(string)
  default     = {}

  validation {
    condition     = length(setintersection(keys(var.settings), local.settings_of_the_module)) == 0
    error_message = "settings: this module decides those itself; some have a variable of their own."
  }

  validation {
    condition     = length(setintersection(keys(var.settings), concat(local.settings_that_are_secret, ["PGPASSWORD"]))) == 0
    error_message = "settings: secrets lie in Secrets Manager, never in a task definition; the ledger has ledger_url."
  }

  validation {
    condition = length(setsubtract(keys(var.settings), concat(
      local.settings_of_the_module, local.settings_that_are_secret, ["PGPASSWORD"],
      local.settings_of_traces, local.settings_of_messaging, local.settings_of_both,
    ))) == 0
    error_message = "settings: there is no such setting, and the service would not say so."
  }

  validation {
    condition     = !contains(keys(var.settings), "WABA_KEY") || var.reach.gateway != "none"
    error_message = "settings: WABA_KEY needs a gateway that callers reach (reach.gateway), or messaging does not start: it has no GATEWAY_KEYS."
  }

  validation {
    condition     = lookup(var.settings, "FOREIGN_LINKS", "pass") != "import" || contains(keys(var.settings), "IMPORT_HOSTS")
    error_message = "settings: FOREIGN_LINKS = import needs IMPORT_HOSTS, or messaging does not start."
  }
}

variable "misses_per_minute" {
  description = "MISSES_PER_MINUTE of delivery: new media that one client address may cause in each process. Null: no limit."
  type        = number
  default     = 6000

  validation {
    condition = var.misses_per_minute == null || (
      coalesce(var.misses_per_minute, 6) >= 6 && coalesce(var.misses_per_minute, 6) <= 1000000 &&
      floor(coalesce(var.misses_per_minute, 6)) == coalesce(var.misses_per_minute, 6)
    )
    error_message = "misses_per_minute: a whole number from 6 to 1000000, or null."
  }
}

variable "traces" {
  description = "Where OpenTelemetry traces go (OTLP over HTTP), and the addresses it lies at; delivery needs a route there. Null: none."
  type = object({
    endpoint    = string
    cidr_blocks = set(string)
  })
  default = null

  validation {
    condition     = var.traces == null || can(regex("^https?://[A-Za-z0-9.-]+(:[0-9]{1,5})?(/[A-Za-z0-9._/-]*)?$", var.traces.endpoint))
    error_message = "traces.endpoint: an http or https URL such as http://collector.internal:4318, without a user."
  }

  validation {
    condition = var.traces == null || try(
      length(var.traces.cidr_blocks) > 0 && alltrue([for block in var.traces.cidr_blocks : can(cidrhost(block, 0)) && !endswith(block, "/0")]),
      false
    )
    error_message = "traces.cidr_blocks: one IPv4 block or more, and never all addresses."
  }
}

variable "sizes" {
  description = "A task's CPU units, memory in MiB and disk cache in GiB; how many tasks; and what load one is to carry."
  type = object({
    delivery = optional(object({
      cpu                      = optional(number, 1024)
      memory_mib               = optional(number, 3072)
      cache_gib                = optional(number, 20)
      min_tasks                = optional(number, 2)
      max_tasks                = optional(number, 10)
      cpu_percent              = optional(number, 60)
      task_requests_per_minute = optional(number, 3000)
    }), {})
    messaging = optional(object({
      cpu                      = optional(number, 1024)
      memory_mib               = optional(number, 3072)
      cache_gib                = optional(number, 5)
      min_tasks                = optional(number, 2)
      max_tasks                = optional(number, 4)
      cpu_percent              = optional(number, 60)
      task_requests_per_minute = optional(number, 3000)
    }), {})
  })
  default  = {}
  nullable = false

  validation {
    condition     = alltrue([for size in values(var.sizes) : contains([512, 1024, 2048, 4096, 8192], size.cpu)])
    error_message = "sizes: cpu is 512, 1024, 2048, 4096 or 8192; on less, decoding a photograph takes too long."
  }

  validation {
    condition = alltrue([for size in values(var.sizes) :
      size.memory_mib >= 2 * size.cpu && size.memory_mib <= (size.cpu > 2048 ? 7.5 : 8) * size.cpu &&
      size.memory_mib % (size.cpu > 4096 ? 4096 : 1024) == 0
    ])
    error_message = "sizes: memory_mib is from twice to eight times cpu (7.5 from 4096 on), in whole GiB, as Fargate sells it."
  }

  validation {
    condition     = alltrue([for size in values(var.sizes) : size.cache_gib >= 5 && size.cache_gib <= 180])
    error_message = "sizes: cache_gib is 5 to 180; the task's disk has 20 more, and at most 200."
  }

  validation {
    condition     = alltrue([for size in values(var.sizes) : size.min_tasks >= 1 && size.max_tasks >= size.min_tasks])
    error_message = "sizes: min_tasks is 1 or more, and max_tasks no less."
  }

  validation {
    condition     = alltrue([for size in values(var.sizes) : size.cpu_percent >= 10 && size.cpu_percent <= 90])
    error_message = "sizes: cpu_percent is 10 to 90."
  }

  validation {
    condition     = alltrue([for size in values(var.sizes) : size.task_requests_per_minute >= 60])
    error_message = "sizes: task_requests_per_minute is 60 or more."
  }
}

variable "reach" {
  description = "Who reaches messaging. webhooks: cdn or none. gateway (/messages /links /verdicts /waba): cdn, private or none."
  type = object({
    webhooks = optional(string, "cdn")
    gateway  = optional(string, "none")
  })
  default  = {}
  nullable = false

  validation {
    condition     = contains(["cdn", "none"], var.reach.webhooks)
    error_message = "reach.webhooks: cdn or none."
  }

  validation {
    condition     = contains(["cdn", "private", "none"], var.reach.gateway)
    error_message = "reach.gateway: cdn, private or none."
  }

  validation {
    condition     = var.reach.webhooks != "none" || var.reach.gateway != "none"
    error_message = "reach: messaging that nobody can reach does nothing; open webhooks or the gateway."
  }
}

variable "forward_webhooks_to" {
  description = "FORWARD_WEBHOOKS_TO: the https URL of your own system that every webhook is passed on to, or none. Has to be said."
  type        = string
  default     = null

  validation {
    condition     = var.reach.webhooks == "none" || var.forward_webhooks_to != null
    error_message = "forward_webhooks_to: say a URL of yours, or none. What your customers write comes here, too; until it is said, messaging does not start."
  }

  validation {
    condition = (
      var.forward_webhooks_to == null || var.forward_webhooks_to == "none" ||
      can(regex("^https://[A-Za-z0-9.-]+(:443)?([/?][!-\"$-~]*)?$", var.forward_webhooks_to))
    )
    error_message = "forward_webhooks_to: none, or an https URL at port 443, messaging's one way out, without user, password or fragment."
  }
}

variable "webhook_secrets" {
  description = "What proves a webhook: WEBHOOK_SECRET (360dialog), META_APP_SECRET (Meta), META_VERIFY_TOKEN (Meta's handshake)."
  type        = set(string)
  default     = ["WEBHOOK_SECRET"]
  nullable    = false

  validation {
    condition     = length(setsubtract(var.webhook_secrets, keys(local.secrets_of_webhooks))) == 0
    error_message = "webhook_secrets: WEBHOOK_SECRET, META_APP_SECRET or META_VERIFY_TOKEN."
  }

  validation {
    condition     = var.reach.webhooks == "none" || length(setintersection(var.webhook_secrets, ["WEBHOOK_SECRET", "META_APP_SECRET"])) > 0
    error_message = "webhook_secrets: WEBHOOK_SECRET or META_APP_SECRET; the handshake's token proves no webhook."
  }
}

variable "record_fetches" {
  description = "RECORD_FETCHES: whether delivery notes fetches in the ledger. It then reaches the database, and starts only while that answers."
  type        = bool
  default     = false
  nullable    = false
}

variable "gateway_cidr_blocks" {
  description = "Where callers of a private gateway come from: blocks of this VPC, or of networks that are joined to it."
  type        = set(string)
  default     = []

  validation {
    condition     = alltrue([for block in var.gateway_cidr_blocks : can(cidrhost(block, 0)) && !endswith(block, "/0")])
    error_message = "gateway_cidr_blocks: IPv4 blocks, and never all addresses."
  }

  validation {
    condition     = length(var.gateway_cidr_blocks) <= 4
    error_message = "gateway_cidr_blocks: at most four; CloudFront's prefix list counts as 55 of the 60 rules of a security group."
  }

  validation {
    condition     = (var.reach.gateway == "private") == (length(var.gateway_cidr_blocks) > 0)
    error_message = "gateway_cidr_blocks: give them if, and only if, reach.gateway is private."
  }
}

variable "origin_certificate" {
  description = "ACM certificate of this region for the load balancer, and a name that it covers. Null: plain HTTP inside the VPC."
  type = object({
    arn    = string
    domain = string
  })
  default = null

  validation {
    condition     = var.reach.gateway != "private" || var.origin_certificate != null
    error_message = "origin_certificate: a private gateway needs one, because callers send their keys."
  }

  validation {
    condition     = var.origin_certificate == null || can(regex("^arn:[a-z-]+:acm:[a-z0-9-]+:[0-9]{12}:certificate/", var.origin_certificate.arn))
    error_message = "origin_certificate.arn: the ARN of an ACM certificate."
  }
}

variable "domain" {
  description = "Own domain of links. With zone_id, certificate and records are made; else bring a us-east-1 certificate."
  type = object({
    name            = string
    zone_id         = optional(string)
    certificate_arn = optional(string)
  })
  default = null

  validation {
    condition     = var.domain == null || can(regex("^([a-z0-9]([a-z0-9-]*[a-z0-9])?\\.)+[a-z]{2,}$", var.domain.name))
    error_message = "domain.name: a host name such as media.example.com; webhooks take no underscore and no port."
  }

  validation {
    condition     = var.domain == null || (try(var.domain.zone_id, null) == null) != (try(var.domain.certificate_arn, null) == null)
    error_message = "domain: exactly one of zone_id and certificate_arn."
  }

  validation {
    condition     = try(var.domain.certificate_arn, null) == null || can(regex("^arn:[a-z-]+:acm:us-east-1:", var.domain.certificate_arn))
    error_message = "domain.certificate_arn: CloudFront takes ACM certificates of us-east-1 alone."
  }
}

variable "price_class" {
  description = "Edges that CloudFront serves from. From where WhatsApp fetches is not documented: all, unless you measured."
  type        = string
  default     = "PriceClass_All"

  validation {
    condition     = contains(["PriceClass_100", "PriceClass_200", "PriceClass_All"], var.price_class)
    error_message = "price_class: PriceClass_100, PriceClass_200 or PriceClass_All."
  }
}

variable "origin_shield_region" {
  description = "Region of Origin Shield, the one cache in front of the origin: the nearest to this installation. Null: none."
  type        = string
  default     = "eu-central-1"

  validation {
    condition = var.origin_shield_region == null || contains([
      "us-east-1", "us-east-2", "us-west-2", "ap-south-1", "ap-northeast-1", "ap-northeast-2", "ap-southeast-1",
      "ap-southeast-2", "eu-central-1", "eu-west-1", "eu-west-2", "sa-east-1", "me-central-1",
    ], coalesce(var.origin_shield_region, "none"))
    error_message = "origin_shield_region: a region that offers Origin Shield."
  }
}

variable "origin_timeout_s" {
  description = "Seconds that CloudFront waits for delivery. Short, because stale-if-error speaks only after it (README)."
  type        = number
  default     = 10

  validation {
    condition     = var.origin_timeout_s >= 2 && var.origin_timeout_s <= 30
    error_message = "origin_timeout_s: 2 to 30."
  }
}

variable "web_acl_arn" {
  description = "A web ACL for the CDN (WAFv2, scope CLOUDFRONT). Null: none. README says which rules harm."
  type        = string
  default     = null

  validation {
    condition     = var.web_acl_arn == null || can(regex("^arn:[a-z-]+:wafv2:us-east-1:[0-9]{12}:global/webacl/", var.web_acl_arn))
    error_message = "web_acl_arn: the ARN of a WAFv2 web ACL of scope CLOUDFRONT, which lies in us-east-1."
  }
}

variable "ledger_url" {
  description = "A PostgreSQL of your own, without its password. Null: Aurora Serverless is made here."
  type        = string
  default     = null

  validation {
    condition     = var.ledger_url == null || can(regex("^postgresql\\+psycopg://[^:@/]+@[^/@]+/.+", var.ledger_url))
    error_message = "ledger_url: postgresql+psycopg://user@host[:port]/database without a password. SQLite is refused: a task's disk goes with the task."
  }
}

variable "ledger_cidr_blocks" {
  description = "Where the PostgreSQL of ledger_url lies, so that messaging, and delivery with record_fetches, may reach it."
  type        = set(string)
  default     = []

  validation {
    condition     = alltrue([for block in var.ledger_cidr_blocks : can(cidrhost(block, 0)) && !endswith(block, "/0")])
    error_message = "ledger_cidr_blocks: IPv4 blocks, and never all addresses."
  }

  validation {
    condition     = (var.ledger_url != null) == (length(var.ledger_cidr_blocks) > 0)
    error_message = "ledger_cidr_blocks: give them if, and only if, there is a ledger_url."
  }
}

variable "aurora" {
  description = "The PostgreSQL made here: version, capacity units, instances (two survive the loss of a zone), days of backups."
  type = object({
    version     = optional(string, "17")
    min_acu     = optional(number, 0.5)
    max_acu     = optional(number, 4)
    instances   = optional(number, 2)
    backup_days = optional(number, 14)
  })
  default  = {}
  nullable = false

  validation {
    condition     = can(regex("^1[6-9](\\.[0-9]+)?$", var.aurora.version))
    error_message = "aurora.version: 16 or newer, such as 17 or 17.5."
  }

  validation {
    condition     = var.aurora.min_acu >= 0.5 && var.aurora.max_acu >= var.aurora.min_acu && var.aurora.max_acu <= 256
    error_message = "aurora: min_acu is 0.5 or more, for a paused database answers webhooks too late; max_acu no less, up to 256."
  }

  validation {
    condition     = var.aurora.instances >= 1 && var.aurora.instances <= 3
    error_message = "aurora.instances: 1 to 3."
  }

  validation {
    condition     = var.aurora.backup_days >= 7 && var.aurora.backup_days <= 35
    error_message = "aurora.backup_days: 7 to 35."
  }
}

variable "log_days" {
  description = "Days that logs are kept."
  type        = number
  default     = 365

  validation {
    condition     = contains([7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731], var.log_days)
    error_message = "log_days: a period that CloudWatch offers, from 7 to 731."
  }
}

variable "alarm_email" {
  description = "Who is told of alarms. Null: subscribe to the topics yourself."
  type        = string
  default     = null

  validation {
    condition     = var.alarm_email == null || can(regex("^[^@ ]+@[^@ ]+\\.[^@ ]+$", var.alarm_email))
    error_message = "alarm_email: an e-mail address."
  }
}

variable "alarm_at" {
  description = "Where alarms go off: CDN errors in percent, seconds of the slowest 5 %, and events in five minutes."
  type = object({
    cdn_5xx_percent  = optional(number, 1)
    latency_p95_s    = optional(number, 1)
    origin_5xx_count = optional(number, 10)
    queue_full_count = optional(number, 5)
    failed_media     = optional(number, 5)
    store_away_count = optional(number, 5)
  })
  default  = {}
  nullable = false

  validation {
    condition     = alltrue([for threshold in values(var.alarm_at) : threshold > 0])
    error_message = "alarm_at: every threshold is more than nothing."
  }
}
