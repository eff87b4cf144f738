"""Distributions of moto's CloudFront, reached by AWS's own settings."""

from uuid import uuid4

from boto3.session import Session


def new_distribution() -> str:
    client = Session().client("cloudfront", region_name="us-east-1")
    origin = {"HTTPPort": 80, "HTTPSPort": 443, "OriginProtocolPolicy": "https-only"}
    made = client.create_distribution(
        DistributionConfig={
            "CallerReference": uuid4().hex,
            "Comment": "",
            "Enabled": True,
            "Origins": {
                "Quantity": 1,
                "Items": [{"Id": "origin", "DomainName": "origin.example.com", "CustomOriginConfig": origin}],
            },
            "DefaultCacheBehavior": {"TargetOriginId": "origin", "ViewerProtocolPolicy": "https-only"},
        }
    )
    return str(made["Distribution"]["Id"])
