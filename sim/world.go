package sim

import (
	"context"
	"encoding/json"
	"net/http"
	"time"

	"liftlock.dev/liftlock/sim/aks"
	"liftlock.dev/liftlock/sim/fault"
)

// turn carries out the faults that go off by the clock, until the context ends.
func (s *Server) turn(ctx context.Context) {
	for {
		due, next := s.faults.Due()
		for _, f := range due {
			s.change(ctx, f)
		}
		wait := time.Hour
		if !next.IsZero() {
			wait = max(next.Sub(s.now()), time.Millisecond)
		}
		timer := time.NewTimer(wait)
		select {
		case <-timer.C:
		case <-s.woken:
		case <-ctx.Done():
			timer.Stop()
			return
		}
		timer.Stop()
	}
}

// wake makes turn look at the faults again.
func (s *Server) wake() {
	select {
	case s.woken <- struct{}{}:
	default:
	}
}

// change carries a fault out that concerns the world.
func (s *Server) change(ctx context.Context, f fault.Fault) {
	s.log.InfoContext(ctx, "fault strikes", "fault", f.ID, "effect", string(f.Effect))
	switch f.Effect {
	case fault.APIServerDown:
		s.later(ctx, f, func(ctx context.Context) error { return s.cloud.Outage(ctx, f.Match.Cluster, time.Duration(f.For)) })
	case fault.ClusterDeleted:
		// The call that set it off finds the cluster gone already.
		if err := s.cloud.LoseCluster(ctx, f.Match.Cluster); err != nil {
			s.log.ErrorContext(ctx, "fault", "fault", f.ID, "error", err)
		}
	case fault.VersionWithdrawn, fault.VersionOffered:
		version, err := aks.ParseVersion(f.Version)
		if err != nil {
			s.log.ErrorContext(ctx, "fault", "fault", f.ID, "error", err)
			return
		}
		if f.Effect == fault.VersionWithdrawn {
			s.cloud.WithdrawVersion(f.Region, version)
		} else {
			s.cloud.OfferVersion(f.Region, aks.OfferedVersion{Version: version})
		}
	case fault.Error, fault.Throttle, fault.Latency, fault.Unreachable, fault.Unauthorized, fault.OperationFails, fault.OperationSlow:
		// Not of the class that comes here.
	case fault.ImageReleased:
		s.cloud.ReleaseImage(f.Region, f.Family, f.Version)
	case fault.Quota:
		s.cloud.SetQuota(aks.Quota{Subscription: f.Match.Subscription, Region: f.Region, Family: f.Family, Limit: f.Limit})
	}
}

// later runs something that outlives the call which set it off, but not the server.
func (s *Server) later(ctx context.Context, f fault.Fault, run func(context.Context) error) {
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	ended := make(chan struct{})
	s.work.Go(func() {
		select {
		case <-s.closing:
			cancel()
		case <-ended:
		}
	})
	s.work.Go(func() {
		defer cancel()
		defer close(ended)
		if err := run(ctx); err != nil && ctx.Err() == nil {
			s.log.ErrorContext(ctx, "fault", "fault", f.ID, "error", err)
		}
	})
}

// signInStruck lets faults refuse or disturb signing in. Their operation is
// "Entra_Token".
func (s *Server) signInStruck(w http.ResponseWriter, r *http.Request) bool {
	for _, f := range s.faults.Strike(fault.CallClass, fault.Call{Operation: "Entra_Token", Method: r.Method}) {
		switch f.Effect {
		case fault.Unreachable:
			panic(http.ErrAbortHandler)
		case fault.Latency:
			timer := time.NewTimer(time.Duration(f.Delay))
			select {
			case <-timer.C:
			case <-r.Context().Done():
				timer.Stop()
				return true
			}
		case fault.OperationFails, fault.OperationSlow, fault.APIServerDown, fault.VersionWithdrawn, fault.VersionOffered, fault.ImageReleased,
			fault.Quota, fault.ClusterDeleted: // not of the class that was asked for
		case fault.Unauthorized, fault.Error, fault.Throttle:
			status, code, text := http.StatusUnauthorized, "invalid_client", "AADSTS7000222: The provided client secret keys for the app are expired."
			if f.Effect == fault.Error {
				status, code, text = f.HTTPStatus(), f.Code, f.Message
			}
			if f.Effect == fault.Throttle {
				status, code, text = http.StatusTooManyRequests, "temporarily_unavailable", "AADSTS90055: There are too many requests."
			}
			w.Header().Set("Content-Type", "application/json; charset=utf-8")
			w.WriteHeader(status)
			// A client that hung up gets no answer; there is nobody to tell.
			_ = json.NewEncoder(w).Encode(map[string]any{"error": code, "error_description": text})
			return true
		}
	}
	return false
}

// metadata describes the cloud to tools that ask for it, such as az cloud
// register.
func (s *Server) metadata(w http.ResponseWriter) {
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	// A client that hung up gets no answer; there is nobody to tell.
	_ = json.NewEncoder(w).Encode([]any{map[string]any{
		"name": "SimulatedAzure", "resourceManager": s.endpoint.ARMEndpoint,
		"authentication": map[string]any{
			"loginEndpoint": s.endpoint.AuthorityHost, "audiences": []string{s.endpoint.Audience}, "tenant": s.endpoint.TenantID, "identityProvider": "AAD",
		},
	}})
}
