package server

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"liftlock.dev/liftlock/internal/rollout"
)

// SocketName is the socket's name in the state folder.
const SocketName = "liftlock.sock"

// SocketPath is where the engine of a state folder listens.
func SocketPath(dir string) string { return filepath.Join(dir, SocketName) }

// ErrNobody is returned when no engine listens on the socket.
var ErrNobody = errors.New("no engine is running on this state folder")

const (
	socketMode    = 0o600
	headerTimeout = 5 * time.Second
	closeTimeout  = 5 * time.Second
	callTimeout   = 30 * time.Second
	maxBody       = 1 << 20
)

// Socket serves requests on a Unix socket that only its owner may open.
type Socket struct {
	server *http.Server
	done   chan error
}

// Handle carries out a request.
type Handle func(ctx context.Context, r rollout.Request) (rollout.Answer, error)

// Listen starts to serve. A socket that a killed process left behind is
// replaced; the caller must hold the engine's lock, so it cannot be in use.
func Listen(ctx context.Context, path string, handle Handle) (*Socket, error) {
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("control socket %s: remove what an earlier process left: %w", path, err)
	}
	listener, err := (&net.ListenConfig{}).Listen(ctx, "unix", path)
	if err != nil {
		return nil, fmt.Errorf("control socket %s: %w (is the path longer than 100 characters? choose a shorter --state)", path, err)
	}
	if err := os.Chmod(path, socketMode); err != nil {
		return nil, errors.Join(fmt.Errorf("control socket %s: %w", path, err), listener.Close())
	}
	mux := http.NewServeMux()
	mux.HandleFunc("POST /v1/requests", func(w http.ResponseWriter, r *http.Request) { serveRequest(w, r, handle) })
	s := &Socket{
		server: &http.Server{
			Handler: mux, ReadHeaderTimeout: headerTimeout,
			BaseContext: func(net.Listener) context.Context { return context.WithoutCancel(ctx) },
		},
		done: make(chan error, 1),
	}
	go func() { s.done <- s.server.Serve(listener) }()
	return s, nil
}

// Close stops serving and removes the socket.
func (s *Socket) Close(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), closeTimeout)
	defer cancel()
	err := s.server.Shutdown(ctx)
	if served := <-s.done; !errors.Is(served, http.ErrServerClosed) {
		err = errors.Join(err, served)
	}
	return err
}

// reply is what goes over the socket.
type reply struct {
	Answer  rollout.Answer `json:"answer"`
	Refused string         `json:"refused,omitempty"`
	Error   string         `json:"error,omitempty"`
}

func serveRequest(w http.ResponseWriter, r *http.Request, handle Handle) {
	var request rollout.Request
	decoder := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxBody))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&request); err != nil {
		write(w, http.StatusBadRequest, reply{Error: "read request: " + err.Error()})
		return
	}
	answer, err := handle(r.Context(), request)
	refused, isRefused := errors.AsType[*rollout.RefusedError](err)
	switch {
	case isRefused:
		write(w, http.StatusConflict, reply{Refused: refused.What})
	case err != nil:
		write(w, http.StatusInternalServerError, reply{Error: err.Error()})
	default:
		write(w, http.StatusOK, reply{Answer: answer})
	}
}

func write(w http.ResponseWriter, status int, r reply) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(r) // the caller has gone: nothing to tell it any more
}

// Send asks the engine that listens on the socket. ErrNobody means that none does.
func Send(ctx context.Context, path string, request rollout.Request) (rollout.Answer, error) {
	body, err := json.Marshal(request)
	if err != nil {
		return rollout.Answer{}, fmt.Errorf("encode request: %w", err)
	}
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	transport := &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "unix", path)
	}}
	defer transport.CloseIdleConnections()
	post, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://liftlock/v1/requests", bytes.NewReader(body))
	if err != nil {
		return rollout.Answer{}, fmt.Errorf("control socket %s: %w", path, err)
	}
	post.Header.Set("Content-Type", "application/json")
	response, err := (&http.Client{Transport: transport}).Do(post)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ECONNREFUSED) {
		return rollout.Answer{}, ErrNobody
	}
	if err != nil {
		return rollout.Answer{}, fmt.Errorf("control socket %s: %w", path, err)
	}
	defer func() { _ = response.Body.Close() }()
	var got reply
	if err := json.NewDecoder(io.LimitReader(response.Body, maxBody)).Decode(&got); err != nil {
		return rollout.Answer{}, fmt.Errorf("control socket %s: read the answer: %w", path, err)
	}
	switch {
	case got.Refused != "":
		return got.Answer, &rollout.RefusedError{What: got.Refused}
	case got.Error != "":
		return got.Answer, errors.New(got.Error)
	}
	return got.Answer, nil
}
