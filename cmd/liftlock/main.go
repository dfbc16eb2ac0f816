// Command liftlock raises fleets of Kubernetes clusters from one version to the next.
package main

import (
	"os"

	"liftlock.dev/liftlock/internal/app"
)

func main() { os.Exit(app.Main()) }
