variable "image_tag" {
  description = "The image that runs; null until one is pushed and the secrets are filled."
  type        = string
  default     = null
}

variable "domain" {
  description = "The host name of links."
  type        = string
}

variable "zone_id" {
  description = "The Route 53 zone that the domain lies in."
  type        = string
}

variable "origin_certificate_arn" {
  description = "A certificate of this region that covers the domain."
  type        = string
}

variable "web_acl_arn" {
  description = "The web ACL of the CDN."
  type        = string
}

variable "alarm_email" {
  description = "Who is told of alarms."
  type        = string
}
