# CloudFront: the only door. Media are kept by path alone; what is no path of ours ends at the edge.

locals {
  # All that a distribution lets one set. 410 is not among them, and need not be: what is gone stays gone.
  error_codes = [400, 403, 404, 405, 414, 416, 500, 501, 502, 503, 504]

  # WhatsApp's fetcher follows no redirect: who asks by http is refused, and sees it, rather than redirected, and does not.
  viewer_protocol = "https-only"

  media_paths = concat(local.link_paths, length(var.alias_prefixes) == 0 ? [] : local.alias_paths)
  messaging_paths = concat(
    var.reach.webhooks == "cdn" ? local.webhook_paths : [],
    var.reach.gateway == "cdn" ? local.gateway_paths : [],
  )
}

resource "aws_cloudfront_vpc_origin" "balancer" {
  vpc_origin_endpoint_config {
    name                   = var.name
    arn                    = aws_lb.origin.arn
    http_port              = 80
    https_port             = 443
    origin_protocol_policy = var.origin_certificate == null ? "http-only" : "https-only"

    origin_ssl_protocols {
      items    = ["TLSv1.2"]
      quantity = 1
    }
  }

  depends_on = [aws_internet_gateway.main]
}

resource "aws_cloudfront_cache_policy" "media" {
  name        = "${var.name}-media"
  comment     = "By path alone; how long, the answer says itself"
  min_ttl     = 0
  default_ttl = 0
  max_ttl     = 31536000

  parameters_in_cache_key_and_forwarded_to_origin {
    enable_accept_encoding_brotli = false
    enable_accept_encoding_gzip   = false

    cookies_config {
      cookie_behavior = "none"
    }

    headers_config {
      header_behavior = "none"
    }

    query_strings_config {
      query_string_behavior = "none"
    }
  }
}

data "aws_cloudfront_cache_policy" "none" {
  name = "Managed-CachingDisabled"
}

data "aws_cloudfront_origin_request_policy" "all" {
  name = "Managed-AllViewerExceptHostHeader"
}

resource "aws_cloudfront_response_headers_policy" "secure" {
  # checkov:skip=CKV_AWS_259: a year it is; subdomains and the preload list are for the domain's owner to promise
  name    = "${var.name}-secure"
  comment = "TLS is the CDN's; every other header is the service's own"

  security_headers_config {
    strict_transport_security {
      access_control_max_age_sec = 31536000
      override                   = true
    }
  }
}

resource "aws_cloudfront_function" "nothing_here" {
  name    = "${var.name}-nothing-here"
  comment = "Answers what is no path of ours, before the origin hears of it"
  runtime = "cloudfront-js-2.0"
  publish = true
  code    = <<-JS
    function handler(event) {
      return {
        statusCode: 404,
        statusDescription: "Not Found",
        headers: { "cache-control": { value: "no-store" } },
      };
    }
  JS
}

resource "aws_cloudfront_distribution" "media" {
  # checkov:skip=CKV_AWS_86: access logs would hold links, and whoever has a link has the medium; metrics tell rates and latency
  # checkov:skip=CKV_AWS_305: there is no root page: what is no path of ours is 404
  # checkov:skip=CKV_AWS_310: there is one origin in two zones; a second region is a second installation
  # checkov:skip=CKV_AWS_374: from which countries WhatsApp fetches is not documented
  # checkov:skip=CKV_AWS_68: a web ACL is the operator's choice (web_acl_arn); the wrong rule turns WhatsApp's fetcher away
  # checkov:skip=CKV_AWS_174: with an own domain it is TLSv1.2_2021; CloudFront's own certificate takes no other setting
  # checkov:skip=CKV2_AWS_42: an own domain is the operator's choice (domain)
  # checkov:skip=CKV2_AWS_47: as above
  enabled         = true
  comment         = var.name
  http_version    = "http2and3"
  is_ipv6_enabled = true
  price_class     = var.price_class
  aliases         = var.domain == null ? [] : [var.domain.name]
  web_acl_id      = var.web_acl_arn

  origin {
    origin_id           = "delivery"
    domain_name         = var.origin_certificate == null ? aws_lb.origin.dns_name : var.origin_certificate.domain
    connection_attempts = 2
    connection_timeout  = 2

    vpc_origin_config {
      vpc_origin_id            = aws_cloudfront_vpc_origin.balancer.id
      origin_read_timeout      = var.origin_timeout_s
      origin_keepalive_timeout = 30
    }

    dynamic "origin_shield" {
      for_each = var.origin_shield_region[*]

      content {
        enabled              = true
        origin_shield_region = origin_shield.value
      }
    }
  }

  # A send may wait for its provider; what it did must not be told as a time-out.
  origin {
    origin_id           = "messaging"
    domain_name         = var.origin_certificate == null ? aws_lb.origin.dns_name : var.origin_certificate.domain
    connection_attempts = 2
    connection_timeout  = 2

    vpc_origin_config {
      vpc_origin_id            = aws_cloudfront_vpc_origin.balancer.id
      origin_read_timeout      = 60
      origin_keepalive_timeout = 30
    }
  }

  default_cache_behavior {
    target_origin_id           = "delivery"
    viewer_protocol_policy     = local.viewer_protocol
    allowed_methods            = ["GET", "HEAD"]
    cached_methods             = ["GET", "HEAD"]
    cache_policy_id            = aws_cloudfront_cache_policy.media.id
    response_headers_policy_id = aws_cloudfront_response_headers_policy.secure.id

    function_association {
      event_type   = "viewer-request"
      function_arn = aws_cloudfront_function.nothing_here.arn
    }
  }

  dynamic "ordered_cache_behavior" {
    for_each = local.media_paths

    content {
      path_pattern               = ordered_cache_behavior.value
      target_origin_id           = "delivery"
      viewer_protocol_policy     = local.viewer_protocol
      allowed_methods            = ["GET", "HEAD"]
      cached_methods             = ["GET", "HEAD"]
      compress                   = false
      cache_policy_id            = aws_cloudfront_cache_policy.media.id
      response_headers_policy_id = aws_cloudfront_response_headers_policy.secure.id
    }
  }

  dynamic "ordered_cache_behavior" {
    for_each = local.messaging_paths

    content {
      path_pattern               = ordered_cache_behavior.value
      target_origin_id           = "messaging"
      viewer_protocol_policy     = local.viewer_protocol
      allowed_methods            = ["DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT"]
      cached_methods             = ["GET", "HEAD"]
      compress                   = false
      cache_policy_id            = data.aws_cloudfront_cache_policy.none.id
      origin_request_policy_id   = data.aws_cloudfront_origin_request_policy.all.id
      response_headers_policy_id = aws_cloudfront_response_headers_policy.secure.id
    }
  }

  dynamic "custom_error_response" {
    for_each = local.error_codes

    content {
      error_code            = custom_error_response.value
      error_caching_min_ttl = 0
    }
  }

  restrictions {
    geo_restriction {
      restriction_type = "none"
    }
  }

  viewer_certificate {
    cloudfront_default_certificate = var.domain == null
    acm_certificate_arn            = local.certificate_arn
    ssl_support_method             = var.domain == null ? null : "sni-only"
    minimum_protocol_version       = var.domain == null ? "TLSv1" : "TLSv1.2_2021"
  }
}

# Hit ratio, latency of the origin, and errors by status.
resource "aws_cloudfront_monitoring_subscription" "media" {
  distribution_id = aws_cloudfront_distribution.media.id

  monitoring_subscription {
    realtime_metrics_subscription_config {
      realtime_metrics_subscription_status = "Enabled"
    }
  }
}
