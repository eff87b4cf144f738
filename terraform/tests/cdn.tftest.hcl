mock_provider "aws" {
  source = "./tests/mocks"
}

variables {
  forward_webhooks_to = "none"
}

run "links_are_kept_by_path_alone_and_errors_not_at_all" {
  assert {
    condition = (
      aws_cloudfront_cache_policy.media.parameters_in_cache_key_and_forwarded_to_origin[0].cookies_config[0].cookie_behavior == "none" &&
      aws_cloudfront_cache_policy.media.parameters_in_cache_key_and_forwarded_to_origin[0].headers_config[0].header_behavior == "none" &&
      aws_cloudfront_cache_policy.media.parameters_in_cache_key_and_forwarded_to_origin[0].query_strings_config[0].query_string_behavior == "none" &&
      !aws_cloudfront_cache_policy.media.parameters_in_cache_key_and_forwarded_to_origin[0].enable_accept_encoding_gzip &&
      !aws_cloudfront_cache_policy.media.parameters_in_cache_key_and_forwarded_to_origin[0].enable_accept_encoding_brotli
    )
    error_message = "Something other than the path is in the cache key."
  }

  assert {
    condition = alltrue([for behaviour in aws_cloudfront_distribution.media.ordered_cache_behavior :
      behaviour.cache_policy_id == aws_cloudfront_cache_policy.media.id && behaviour.origin_request_policy_id != data.aws_cloudfront_origin_request_policy.all.id
      if behaviour.target_origin_id == "delivery"
    ])
    error_message = "A media path has another policy, or forwards what viewers send."
  }

  assert {
    condition     = aws_cloudfront_cache_policy.media.min_ttl == 0 && aws_cloudfront_cache_policy.media.default_ttl == 0
    error_message = "What says no-store, or nothing, would be kept."
  }

  assert {
    condition     = aws_cloudfront_cache_policy.media.max_ttl == 31536000
    error_message = "A link's year is cut short."
  }

  assert {
    condition     = alltrue([for rule in aws_cloudfront_distribution.media.custom_error_response : rule.error_caching_min_ttl == 0])
    error_message = "An error is kept."
  }

  assert {
    condition = toset([for rule in aws_cloudfront_distribution.media.custom_error_response : rule.error_code]) == toset(
      [400, 403, 404, 405, 414, 416, 500, 501, 502, 503, 504]
    )
    error_message = "A status is kept for CloudFront's own ten seconds."
  }

  assert {
    condition = alltrue([for behaviour in concat(
      aws_cloudfront_distribution.media.ordered_cache_behavior[*].viewer_protocol_policy,
      aws_cloudfront_distribution.media.default_cache_behavior[*].viewer_protocol_policy,
    ) : behaviour == "https-only"])
    error_message = "Some path redirects, or takes plain HTTP."
  }

  assert {
    condition     = aws_cloudfront_distribution.media.http_version == "http2and3" && aws_cloudfront_distribution.media.is_ipv6_enabled
    error_message = "HTTP/3 or IPv6 is off."
  }

  assert {
    condition = alltrue([for origin in aws_cloudfront_distribution.media.origin :
      origin.origin_shield[0].enabled && origin.origin_shield[0].origin_shield_region == "eu-central-1" && origin.vpc_origin_config[0].origin_read_timeout == 10
      if origin.origin_id == "delivery"
    ])
    error_message = "Delivery has no shield, or CloudFront waits long for it."
  }

  assert {
    condition     = alltrue([for origin in aws_cloudfront_distribution.media.origin : origin.vpc_origin_config[0].vpc_origin_id == aws_cloudfront_vpc_origin.balancer.id])
    error_message = "An origin lies on the internet."
  }

  assert {
    condition     = aws_cloudfront_vpc_origin.balancer.vpc_origin_endpoint_config[0].arn == aws_lb.origin.arn
    error_message = "The VPC origin is not the load balancer."
  }

  assert {
    condition     = one(aws_cloudfront_distribution.media.default_cache_behavior[0].function_association).function_arn == aws_cloudfront_function.nothing_here.arn
    error_message = "Any path reaches the origin."
  }

  assert {
    condition     = strcontains(aws_cloudfront_function.nothing_here.code, "statusCode: 404") && strcontains(aws_cloudfront_function.nothing_here.code, "no-store")
    error_message = "The function at the edge does not say 404, or lets it be kept."
  }

  assert {
    condition     = tolist(aws_cloudfront_distribution.media.ordered_cache_behavior[*].path_pattern) == tolist(["/m/*", "/webhooks"])
    error_message = "The edge knows another path, or lacks one."
  }
}

run "without_a_shield_there_is_none" {
  variables {
    origin_shield_region = null
  }

  assert {
    condition     = alltrue([for origin in aws_cloudfront_distribution.media.origin : length(origin.origin_shield) == 0])
    error_message = "There is a shield."
  }
}

run "opened_prefixes_open_the_alias_paths" {
  variables {
    alias_prefixes = ["public/"]
  }

  assert {
    condition = alltrue([for path in ["/audio/*", "/document/*", "/image/*", "/sticker/*", "/video/*"] :
      anytrue([for behaviour in aws_cloudfront_distribution.media.ordered_cache_behavior :
        behaviour.path_pattern == path && behaviour.cache_policy_id == aws_cloudfront_cache_policy.media.id
      ])
    ])
    error_message = "An alias path is missing at the edge."
  }

  assert {
    condition     = toset(flatten(aws_lb_listener_rule.cdn["aliases"].condition[*].path_pattern[0].values)) == toset(["/audio/*", "/document/*", "/image/*", "/sticker/*", "/video/*"])
    error_message = "An alias path is missing at the load balancer."
  }
}

run "messaging_at_the_edge_is_never_kept" {
  variables {
    reach = { webhooks = "cdn", gateway = "cdn" }
  }

  assert {
    condition = alltrue([for path in ["/webhooks", "/messages", "/links", "/verdicts", "/waba/*"] :
      anytrue([for behaviour in aws_cloudfront_distribution.media.ordered_cache_behavior :
        behaviour.path_pattern == path && behaviour.target_origin_id == "messaging" &&
        behaviour.cache_policy_id == data.aws_cloudfront_cache_policy.none.id &&
        behaviour.origin_request_policy_id == data.aws_cloudfront_origin_request_policy.all.id &&
        contains(behaviour.allowed_methods, "POST") && contains(behaviour.allowed_methods, "GET")
      ])
    ])
    error_message = "A path of messaging is missing, kept, or lacks headers, POST, or the GET of Meta's handshake."
  }

  assert {
    condition     = data.aws_cloudfront_origin_request_policy.all.name == "Managed-AllViewerExceptHostHeader"
    error_message = "Meta's handshake loses its query, or a signature its header."
  }

  assert {
    condition = alltrue([for name, paths in { webhooks = ["/webhooks"], gateway = ["/messages", "/links", "/verdicts", "/waba/*"] } :
      toset(flatten(aws_lb_listener_rule.cdn[name].condition[*].path_pattern[0].values)) == toset(paths) &&
      alltrue([for condition in aws_lb_listener_rule.cdn[name].condition : length(condition.http_request_method) == 0]) &&
      alltrue([for action in aws_lb_listener_rule.cdn[name].action : action.target_group_arn == aws_lb_target_group.service["messaging"].arn])
    ])
    error_message = "The load balancer does not lead a path or method of messaging to it."
  }

  assert {
    condition     = data.aws_cloudfront_cache_policy.none.name == "Managed-CachingDisabled"
    error_message = "The policy of messaging keeps answers."
  }
}

run "a_private_gateway_is_not_at_the_edge" {
  variables {
    reach               = { webhooks = "none", gateway = "private" }
    gateway_cidr_blocks = ["10.0.0.0/16"]
    origin_certificate  = { arn = "arn:aws:acm:eu-central-1:000000000000:certificate/origin", domain = "media.example.com" }
  }

  assert {
    condition     = tolist(aws_cloudfront_distribution.media.ordered_cache_behavior[*].path_pattern) == tolist(["/m/*"])
    error_message = "A path of messaging is at the edge."
  }

  assert {
    condition     = keys(aws_lb_listener_rule.cdn) == ["links"]
    error_message = "CloudFront's listener leads to messaging."
  }

  assert {
    condition     = aws_lb_listener.private[0].protocol == "HTTPS" && aws_lb_listener.private[0].port == 8443
    error_message = "The private gateway is not TLS on a port of its own."
  }

  assert {
    condition     = toset(flatten(aws_lb_listener_rule.private[0].condition[*].path_pattern[0].values)) == toset(["/messages", "/links", "/verdicts", "/waba/*"])
    error_message = "Callers of the private gateway do not reach a path of it, or reach webhooks."
  }

  assert {
    condition     = keys(aws_vpc_security_group_ingress_rule.balancer_from_callers) == ["10.0.0.0/16"]
    error_message = "Others than the callers reach the private gateway."
  }
}

run "an_own_domain_has_certificate_records_and_modern_tls" {
  variables {
    domain = { name = "media.example.com", zone_id = "Z0000000000000" }
  }

  assert {
    condition     = aws_cloudfront_distribution.media.viewer_certificate[0].minimum_protocol_version == "TLSv1.2_2021" && tolist(aws_cloudfront_distribution.media.aliases) == tolist(["media.example.com"])
    error_message = "The domain is not served, or over old TLS."
  }

  assert {
    condition     = aws_acm_certificate.media[0].region == "us-east-1"
    error_message = "CloudFront takes certificates from us-east-1 alone."
  }

  assert {
    condition     = toset(keys(aws_route53_record.media)) == toset(["A", "AAAA"])
    error_message = "A or AAAA is missing."
  }

  assert {
    condition     = output.public_url == "https://media.example.com"
    error_message = "Links do not begin with the own domain."
  }
}

run "a_certificate_that_was_brought_is_used" {
  variables {
    domain = { name = "media.example.com", certificate_arn = "arn:aws:acm:us-east-1:000000000000:certificate/brought" }
  }

  assert {
    condition     = aws_cloudfront_distribution.media.viewer_certificate[0].acm_certificate_arn == "arn:aws:acm:us-east-1:000000000000:certificate/brought" && length(aws_route53_record.media) == 0
    error_message = "Another certificate, or records in a zone that is not ours."
  }
}
