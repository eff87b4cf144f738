# Links on CloudFront's own name, webhooks and gateway at the CDN, and Aurora for the ledger.

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

variable "image_tag" {
  description = "The image that runs; null until one is pushed and the secrets are filled."
  type        = string
  default     = null
}

module "medialink" {
  source = "../.."

  image_tag           = var.image_tag
  reach               = { webhooks = "cdn", gateway = "cdn" }
  forward_webhooks_to = "none" # or the URL of your own system, if one takes webhooks today
}

output "medialink" {
  description = "Where everything is."
  value       = module.medialink
}
