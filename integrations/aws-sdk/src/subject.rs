//! Which service it is, and what an operation is about.

use aws_smithy_runtime_api::client::orchestrator::HttpRequest;
use ddtrace_core::trace::Span;

use crate::form::{Form, decoded};
use crate::json::Members;

/// A service as it is called in tags, by the prefix of its endpoints.
///
/// The SDK knows it by another name, with capitals and spaces; where these differ by more, the table says how.
pub(crate) fn service_name(sdk_id: &str) -> String {
    let known = [
        ("EventBridge", "events"),
        ("SFN", "states"),
        ("CloudWatch Logs", "logs"),
        ("CloudWatch", "monitoring"),
        ("SESv2", "email"),
        ("SES", "email"),
        ("Elasticsearch Service", "es"),
        ("OpenSearch", "es"),
        ("Secrets Manager", "secretsmanager"),
        ("DynamoDB Streams", "streams.dynamodb"),
        ("ECR", "api.ecr"),
        ("Cognito Identity Provider", "cognito-idp"),
        ("Cognito Identity", "cognito-identity"),
        ("Bedrock Runtime", "bedrock-runtime"),
        ("Bedrock Agent Runtime", "bedrock-agent-runtime"),
        ("Elastic Load Balancing", "elasticloadbalancing"),
        ("Elastic Load Balancing v2", "elasticloadbalancing"),
        ("Auto Scaling", "autoscaling"),
    ];
    match known.iter().find(|(id, _)| *id == sdk_id) {
        Some((_, name)) => (*name).to_owned(),
        None => sdk_id
            .chars()
            .filter(|c| *c != ' ')
            .collect::<String>()
            .to_ascii_lowercase(),
    }
}

/// The part of AWS that a region belongs to.
pub(crate) fn partition(region: &str) -> &'static str {
    if region.starts_with("cn-") {
        "aws-cn"
    } else if region.starts_with("us-gov-") {
        "aws-us-gov"
    } else {
        "aws"
    }
}

/// The queue of a URL, and the account that it belongs to.
pub(crate) fn queue(url: &str) -> (&str, Option<&str>) {
    let mut parts = url.rsplit('/');
    let name = parts.next().unwrap_or(url);
    let account = parts.next().filter(|part| !part.is_empty());
    (name, account)
}

/// Writes what the request is about, as far as its body and path tell.
pub(crate) fn describe(span: &mut Span, service: &str, request: &HttpRequest) {
    let body = request.body().bytes().unwrap_or_default();
    let of_body = |name: &str| Members::parse(body)?.text(name);
    match service {
        "sqs" => {
            let Some(url) = of_body("QueueUrl").or_else(|| of_body("QueueName")) else {
                return;
            };
            let (name, account) = queue(&url);
            span.set_tag("aws.sqs.queue_name", name);
            span.set_tag("queuename", name);
            if let Some(account) = account {
                span.set_tag("aws_account", account);
            }
        }
        "sns" => {
            let arn = Form::parse(body).and_then(|form| form.get("TopicArn").map(str::to_owned));
            let Some(arn) = arn else { return };
            span.set_tag("aws.sns.topic_arn", arn.as_str());
            let mut parts = arn.rsplit(':');
            if let (Some(topic), Some(account)) = (parts.next(), parts.next()) {
                span.set_tag("topicname", topic);
                span.set_tag("aws_account", account);
            }
        }
        "kinesis" => {
            let name = of_body("StreamName").or_else(|| {
                let arn = of_body("StreamARN")?;
                Some(arn.rsplit_once('/')?.1.to_owned())
            });
            tag_both(span, "aws.kinesis.stream_name", "streamname", name);
        }
        "dynamodb" => {
            let name = of_body("TableName");
            tag_both(span, "aws.dynamodb.table_name", "tablename", name);
        }
        "events" => tag(span, "rulename", of_body("Name")),
        "states" => tag(span, "statemachinearn", of_body("stateMachineArn")),
        "lambda" => tag(span, "functionname", function(path(request.uri()))),
        _ => {}
    }
}

fn tag(span: &mut Span, key: &'static str, value: Option<String>) {
    if let Some(value) = value {
        span.set_tag(key, value);
    }
}

fn tag_both(span: &mut Span, key: &'static str, short: &'static str, value: Option<String>) {
    if let Some(value) = value {
        span.set_tag(key, value.as_str());
        span.set_tag(short, value);
    }
}

/// The path of a URI, with or without the host before it.
pub(crate) fn path(uri: &str) -> &str {
    let path = uri.split(['?', '#']).next().unwrap_or_default();
    match path.split_once("://") {
        Some((_, rest)) => rest.find('/').map_or("", |slash| &rest[slash..]),
        None => path,
    }
}

/// The function that a request of Lambda names.
fn function(path: &str) -> Option<String> {
    let mut parts = path.split('/');
    parts.by_ref().find(|part| *part == "functions")?;
    parts.next().filter(|name| !name.is_empty()).map(decoded)
}

/// The bucket that an endpoint of S3 was resolved for: the last part of its path, or what stands before `s3` in its host.
pub(crate) fn bucket(endpoint: &str) -> Option<&str> {
    let (_, rest) = endpoint.split_once("://")?;
    let (host, path) = rest.split_once('/').unwrap_or((rest, ""));
    let in_path = path
        .split(['?', '#'])
        .next()
        .unwrap_or_default()
        .trim_end_matches('/')
        .rsplit('/')
        .next()
        .filter(|name| !name.is_empty());
    let in_host = || {
        let end = host.find(".s3.").or_else(|| host.find(".s3-"))?;
        Some(&host[..end]).filter(|name| !name.is_empty())
    };
    in_path.or_else(in_host)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn services_are_called_by_their_endpoints() {
        for (id, name) in [
            ("SQS", "sqs"),
            ("DynamoDB", "dynamodb"),
            ("EventBridge", "events"),
            ("SFN", "states"),
            ("Secrets Manager", "secretsmanager"),
            ("App Mesh", "appmesh"),
        ] {
            assert_eq!(service_name(id), name);
        }
    }

    #[test]
    fn names_are_found_in_urls() {
        let url = "https://sqs.sa-east-1.amazonaws.com/12345678/cups";
        assert_eq!(queue(url), ("cups", Some("12345678")));
        assert_eq!(queue("cups"), ("cups", None));
        for (endpoint, expected) in [
            ("https://tea.s3.eu-central-1.amazonaws.com", Some("tea")),
            ("https://a.b.s3.amazonaws.com/", Some("a.b")),
            ("https://s3.amazonaws.com/tea", Some("tea")),
            ("http://127.0.0.1:9000/prefix/tea/", Some("tea")),
            ("https://s3.amazonaws.com", None),
            ("nonsense", None),
        ] {
            assert_eq!(bucket(endpoint), expected, "{endpoint}");
        }
        let path = path("https://l.amazonaws.com/2015-03-31/functions/brew%3A1/invocations?x=1");
        assert_eq!(function(path).as_deref(), Some("brew:1"));
        assert_eq!(function("/2015-03-31/layers"), None);
        assert_eq!(super::path("/cups?x"), "/cups");
    }

    #[test]
    fn regions_are_parts_of_partitions() {
        assert_eq!(partition("cn-north-1"), "aws-cn");
        assert_eq!(partition("us-gov-west-1"), "aws-us-gov");
        assert_eq!(partition("eu-central-1"), "aws");
    }
}
