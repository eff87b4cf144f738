mock_provider "aws" {
  source = "./tests/mocks"
}

variables {
  forward_webhooks_to = "none"
}

run "alarms_reach_somebody" {
  variables {
    alarm_email = "ops@example.com"
  }

  assert {
    condition     = toset(keys(aws_sns_topic_subscription.email)) == toset(["home", "edge"])
    error_message = "The alarms of one region are told to nobody."
  }

  assert {
    condition = alltrue([for name, alarm in aws_cloudwatch_metric_alarm.service :
      alarm.region == (name == "cdn-5xx" ? "us-east-1" : "eu-central-1") &&
      alarm.alarm_actions == toset([aws_sns_topic.alarms[name == "cdn-5xx" ? "edge" : "home"].arn])
    ])
    error_message = "An alarm calls a topic that it cannot call."
  }

  assert {
    condition     = toset([for alarm in aws_cloudwatch_metric_alarm.service : alarm.metric_name if alarm.namespace == "medialink"]) == toset(keys(aws_cloudwatch_log_metric_filter.event))
    error_message = "An event is counted and nobody is told, or an alarm waits for what nobody counts."
  }

  assert {
    condition     = alltrue([for filter in aws_cloudwatch_log_metric_filter.event : startswith(filter.pattern, "{ $.event = ")])
    error_message = "A filter does not read the log's JSON."
  }

  assert {
    condition     = length(setsubtract(["cdn-5xx", "origin-5xx", "balancer-5xx", "latency", "queue-full", "failed-media"], keys(aws_cloudwatch_metric_alarm.service))) == 0
    error_message = "Something that somebody must hear of has no alarm."
  }

  assert {
    condition = alltrue([for widget in jsondecode(aws_cloudwatch_dashboard.medialink.dashboard_body).widgets :
      length(widget.properties.metrics) > 0 && (widget.properties.metrics[0][0] != "AWS/CloudFront" || widget.properties.region == "us-east-1")
    ])
    error_message = "A chart is empty, or looks for CloudFront where its metrics are not."
  }
}
