//go:build tools

// Package kubernetes pins the programs that the lab builds; it holds no code.
package kubernetes

import (
	_ "k8s.io/kubernetes/cmd/kube-apiserver"
	_ "k8s.io/kubernetes/cmd/kubectl"
)
