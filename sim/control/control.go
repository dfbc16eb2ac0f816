// Package control is how tests and demonstrations steer a simulated Azure and
// ask what happened in it: the faults in force, the state of everything, the
// calls that were made and what the witness saw. It is no part of Azure and
// asks for no token, so serve it on the loopback interface alone.
package control

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strconv"

	"liftlock.dev/liftlock/sim/aks"
	"liftlock.dev/liftlock/sim/arm"
	"liftlock.dev/liftlock/sim/fault"
	"liftlock.dev/liftlock/sim/witness"
)

// Prefix is where the paths of the control API begin.
const Prefix = "/sim/v1/"

// Options says what is steered.
type Options struct {
	Cloud   *aks.Cloud
	Faults  *fault.Set
	Journal *arm.Journal
	Witness *witness.Witness
	// Endpoint is handed out as it is.
	Endpoint any
	// Added is called after a fault was added.
	Added func()
}

// New returns the handler of the control API:
//
//	GET    /sim/v1/endpoint            where everything is
//	GET    /sim/v1/state               clusters, pools, nodes, operations, offers, quotas
//	GET    /sim/v1/journal             calls; ?after=SEQ&operation=ID&cluster=NAME&method=PUT
//	GET    /sim/v1/witness             what the availability watch saw
//	POST   /sim/v1/witness/restart     count anew from now on
//	GET    /sim/v1/faults              faults in force
//	POST   /sim/v1/faults              add a fault (JSON, see package fault)
//	DELETE /sim/v1/faults[/{id}]       remove one, or all
func New(o Options) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET "+Prefix+"endpoint", func(w http.ResponseWriter, _ *http.Request) { answer(w, http.StatusOK, o.Endpoint) })
	mux.HandleFunc("GET "+Prefix+"state", func(w http.ResponseWriter, _ *http.Request) { answer(w, http.StatusOK, o.Cloud.State()) })
	mux.HandleFunc("GET "+Prefix+"journal", func(w http.ResponseWriter, r *http.Request) {
		query := r.URL.Query()
		var after int64
		if text := query.Get("after"); text != "" {
			var err error
			if after, err = strconv.ParseInt(text, 10, 64); err != nil {
				refuse(w, http.StatusBadRequest, "after: a sequence number (got "+strconv.Quote(text)+")")
				return
			}
		}
		answer(w, http.StatusOK, o.Journal.Entries(after, query.Get("operation"), query.Get("cluster"), query.Get("method")))
	})
	mux.HandleFunc("GET "+Prefix+"witness", func(w http.ResponseWriter, _ *http.Request) { answer(w, http.StatusOK, o.Witness.Report()) })
	mux.HandleFunc("POST "+Prefix+"witness/restart", func(w http.ResponseWriter, _ *http.Request) {
		o.Witness.Restart()
		w.WriteHeader(http.StatusNoContent)
	})
	mux.HandleFunc("GET "+Prefix+"faults", func(w http.ResponseWriter, _ *http.Request) { answer(w, http.StatusOK, o.Faults.List()) })
	mux.HandleFunc("POST "+Prefix+"faults", func(w http.ResponseWriter, r *http.Request) {
		decoder := json.NewDecoder(http.MaxBytesReader(w, r.Body, 1<<20))
		decoder.DisallowUnknownFields()
		var f fault.Fault
		if err := decoder.Decode(&f); err != nil {
			refuse(w, http.StatusBadRequest, "the fault could not be read: "+err.Error())
			return
		}
		if _, err := decoder.Token(); !errors.Is(err, io.EOF) {
			refuse(w, http.StatusBadRequest, "there is more than one JSON value")
			return
		}
		id, err := o.Faults.Add(f)
		if err != nil {
			refuse(w, http.StatusBadRequest, err.Error())
			return
		}
		o.Added()
		answer(w, http.StatusCreated, map[string]string{"id": id})
	})
	mux.HandleFunc("DELETE "+Prefix+"faults", func(w http.ResponseWriter, _ *http.Request) {
		o.Faults.Remove("")
		w.WriteHeader(http.StatusNoContent)
	})
	mux.HandleFunc("DELETE "+Prefix+"faults/{id}", func(w http.ResponseWriter, r *http.Request) {
		if !o.Faults.Remove(r.PathValue("id")) {
			refuse(w, http.StatusNotFound, "no such fault: "+r.PathValue("id"))
			return
		}
		w.WriteHeader(http.StatusNoContent)
	})
	return mux
}

func refuse(w http.ResponseWriter, status int, message string) {
	answer(w, status, map[string]string{"error": message})
}

func answer(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	w.WriteHeader(status)
	// A client that hung up gets no answer; there is nobody to tell.
	_ = json.NewEncoder(w).Encode(body)
}
