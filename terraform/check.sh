#!/bin/sh
# Form; then, unless only that is asked, validity, tests and checkov, as far as their tools are here.
# With REQUIRE_ALL a missing tool is a failure. Where no provider can be downloaded: TF_CHECK names tf_check.py,
# TF_AWS_LIB the schema that it reads, and TF_PYTHON a Python with grpcio.
set -eu
cd "$(dirname "$0")"

skip() {
  echo "skipped: $1"
  test -z "${REQUIRE_ALL:-}"
}

has() { command -v "$1" > /dev/null; }

form() {
  has terraform || { skip "terraform is not installed"; return; }
  terraform fmt -check -recursive
}

validity() {
  has terraform || return 0
  if test -n "${TF_CHECK:-}"; then
    "${TF_PYTHON:-python3}" "$TF_CHECK" .
    "${TF_PYTHON:-python3}" "$TF_CHECK" . test -no-color
  elif terraform init -backend=false -input=false > /dev/null 2>&1; then
    terraform validate
    terraform test
  else
    skip "the AWS provider cannot be downloaded, and TF_CHECK is not set"
  fi
}

security() {
  has "${CHECKOV:-checkov}" || { skip "checkov is not installed"; return; }
  "${CHECKOV:-checkov}" --directory . --framework terraform --compact --quiet --skip-download
}

form
test "${1:-}" = form || { validity; security; }
