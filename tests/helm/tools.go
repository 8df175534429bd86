//go:build tools

// Package helm pins the helm that the chart is checked with; it holds no code.
package helm

import _ "helm.sh/helm/v3/cmd/helm"
