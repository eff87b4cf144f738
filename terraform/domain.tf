# An own domain: certificate and records where we have the zone, else the certificate that was brought.

locals {
  makes_certificate = try(var.domain.zone_id, null) != null
  certificate_arn   = local.makes_certificate ? aws_acm_certificate_validation.media[0].certificate_arn : try(var.domain.certificate_arn, null)
  proof             = local.makes_certificate ? one(aws_acm_certificate.media[0].domain_validation_options) : null
}

resource "aws_acm_certificate" "media" {
  count             = local.makes_certificate ? 1 : 0
  region            = "us-east-1" # CloudFront takes certificates from there alone.
  domain_name       = var.domain.name
  validation_method = "DNS"

  lifecycle {
    create_before_destroy = true
  }
}

resource "aws_route53_record" "proof" {
  count   = local.makes_certificate ? 1 : 0
  zone_id = var.domain.zone_id
  name    = local.proof.resource_record_name
  type    = local.proof.resource_record_type
  records = [local.proof.resource_record_value]
  ttl     = 300
}

resource "aws_acm_certificate_validation" "media" {
  count                   = local.makes_certificate ? 1 : 0
  region                  = "us-east-1"
  certificate_arn         = aws_acm_certificate.media[0].arn
  validation_record_fqdns = aws_route53_record.proof[*].fqdn
}

# Both A and AAAA: whether WhatsApp fetches over IPv6 is not documented.
resource "aws_route53_record" "media" {
  for_each = toset(local.makes_certificate ? ["A", "AAAA"] : [])
  zone_id  = var.domain.zone_id
  name     = var.domain.name
  type     = each.key

  alias {
    name                   = aws_cloudfront_distribution.media.domain_name
    zone_id                = aws_cloudfront_distribution.media.hosted_zone_id
    evaluate_target_health = false
  }
}
