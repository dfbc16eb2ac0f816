package twin

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"strconv"
)

// Ports are taken from below the range from which Linux gives outgoing
// connections theirs (32768 and up), so that a port is still free when its
// server comes back after a restart.
const (
	firstPort = 20000
	lastPort  = 31999
)

var errNoPort = errors.New("no free port on 127.0.0.1 between " + strconv.Itoa(firstPort) + " and " + strconv.Itoa(lastPort))

// freePort returns a loopback port on which nobody listened a moment ago.
// Whoever starts a server on it has to try again with another if it was taken
// in between.
func freePort(ctx context.Context) (int, error) {
	for range 200 {
		port := firstPort + rand.IntN(lastPort-firstPort+1) //nolint:gosec // not a secret
		free, err := portFree(ctx, port)
		if err != nil {
			return 0, err
		}
		if free {
			return port, nil
		}
	}
	return 0, errNoPort
}

func portFree(ctx context.Context, port int) (bool, error) {
	var config net.ListenConfig
	listener, err := config.Listen(ctx, "tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
	if err != nil {
		if ctx.Err() != nil {
			return false, fmt.Errorf("look for a free port: %w", ctx.Err())
		}
		return false, nil
	}
	if err := listener.Close(); err != nil {
		return false, fmt.Errorf("look for a free port: %w", err)
	}
	return true, nil
}
