//go:build tools

// Pins the etcd that deploy/setup builds.
package tools

import _ "go.etcd.io/etcd/server/v3"
