package cli

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"text/template"
	"time"

	"github.com/spf13/cobra"

	"liftlock.dev/liftlock/internal/report"
	"liftlock.dev/liftlock/internal/rollout"
)

//go:embed demo/fleet.yaml.tmpl
var demoFleet string

// endpoint is where the simulated Azure is, as liftlock-sim writes it down.
type endpoint struct {
	ARMEndpoint   string   `json:"armEndpoint"`
	AuthorityHost string   `json:"authorityHost"`
	Audience      string   `json:"audience"`
	Control       string   `json:"control"`
	CAFile        string   `json:"caFile"`
	TenantID      string   `json:"tenantId"`
	ClientID      string   `json:"clientId"`
	TokenFile     string   `json:"tokenFile"`
	Subscriptions []string `json:"subscriptions"`
	PID           int      `json:"pid"`
}

func (c *command) demoCommand() *cobra.Command {
	var simulator, kubeBin string
	var fresh bool
	cmd := &cobra.Command{
		Use: "demo", Short: "See a fleet upgraded, without any cloud", Args: cobra.NoArgs,
		Long: `Start a simulated Azure with four clusters (real Kubernetes control planes, simulated
nodes) and upgrade them ring by ring: sandbox finds and proves the version, dev, test
and prod follow. Kill it half-way and start it again: it goes on where it was.

Exit code 0 means that all clusters are on the proven version, checked on their nodes,
and that no workload was ever below what it requires.`,
		Example: `  liftlock demo
  liftlock demo -o json   # the report alone on stdout`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if simulator == "" {
				simulator = filepath.Join(filepath.Dir(c.Executable), "liftlock-sim")
			}
			if kubeBin == "" {
				kubeBin = filepath.Join(filepath.Dir(c.Executable), "kube")
			}
			d := &demo{command: c, simulator: simulator, kubeBin: kubeBin, dir: filepath.Join(c.stateDir, "demo")}
			return d.run(cmd.Context(), fresh)
		},
	}
	cmd.Flags().StringVar(&simulator, "simulator", "", "the simulator's binary (default: liftlock-sim beside this one)")
	cmd.Flags().StringVar(&kubeBin, "kube-bin", "", "folder of the Kubernetes binaries (default: kube beside this binary)")
	cmd.Flags().BoolVar(&fresh, "fresh", false, "begin anew, also when a demo was begun and not finished")
	return cmd
}

// demo is one run of the demo.
type demo struct {
	*command
	simulator, kubeBin, dir string
}

// How long the simulator may take to start its clusters and to stop.
const (
	simulatorStart = 4 * time.Minute
	simulatorStop  = 30 * time.Second
	simulatorPoll  = 200 * time.Millisecond
	approvalAfter  = 3 * time.Second
)

func (d *demo) run(ctx context.Context, fresh bool) error {
	d.stateDir = d.dir
	if fresh || d.finished(ctx) {
		if err := d.clear(ctx); err != nil {
			return err
		}
	}
	at, err := d.simulate(ctx)
	if err != nil {
		return &exit{ExitUnavailable, err}
	}
	path, err := d.writeFleet(at)
	if err != nil {
		return err
	}
	file, err := d.host.ReadFleet(ctx, path)
	if err != nil {
		return err
	}
	_, err = d.begin(ctx, file, nil, d.approve)
	if err != nil {
		return err
	}
	return d.judge(ctx, at, file)
}

// finished reports whether the last demo has ended: then the next begins anew.
func (d *demo) finished(ctx context.Context) bool {
	st, err := d.host.OpenState(ctx, d.dir)
	if err != nil {
		return false
	}
	defer func() { _ = st.Close() }()
	ro, err := latest(ctx, st, "")
	return err == nil && ro.State.Ended()
}

// clear ends the simulator of an earlier demo and forgets its state.
func (d *demo) clear(ctx context.Context) error {
	if at, err := d.endpoint(); err == nil && d.alive(ctx, at) {
		if err := syscall.Kill(at.PID, syscall.SIGTERM); err != nil && !errors.Is(err, syscall.ESRCH) {
			return fmt.Errorf("end the simulator of the demo before (process %d): %w", at.PID, err)
		}
		ctx, cancel := context.WithTimeout(ctx, simulatorStop)
		defer cancel()
		for d.alive(ctx, at) {
			if err := pause(ctx); err != nil {
				return fmt.Errorf("the simulator of the demo before (process %d) does not end: %w", at.PID, err)
			}
		}
	}
	if err := os.RemoveAll(d.dir); err != nil {
		return fmt.Errorf("forget the demo before: %w", err)
	}
	return nil
}

// pause waits for one poll.
func pause(ctx context.Context) error {
	select {
	case <-time.After(simulatorPoll):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (d *demo) endpoint() (endpoint, error) {
	var at endpoint
	text, err := os.ReadFile(filepath.Join(d.dir, "sim", "endpoint.json"))
	if err != nil {
		return at, err
	}
	return at, json.Unmarshal(text, &at)
}

// alive reports whether the simulator answers.
func (d *demo) alive(ctx context.Context, at endpoint) bool {
	return d.ask(ctx, at, "/state", nil) == nil
}

// ask calls the simulator's control API.
func (d *demo) ask(ctx context.Context, at endpoint, path string, into any) error {
	pem, err := os.ReadFile(at.CAFile)
	if err != nil {
		return fmt.Errorf("simulator: %w", err)
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(pem)
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12}}
	defer transport.CloseIdleConnections()
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	get, err := http.NewRequestWithContext(ctx, http.MethodGet, strings.TrimSuffix(at.Control, "/")+path, nil)
	if err != nil {
		return fmt.Errorf("simulator: %w", err)
	}
	response, err := (&http.Client{Transport: transport}).Do(get)
	if err != nil {
		return fmt.Errorf("simulator: %w", err)
	}
	defer func() { _ = response.Body.Close() }()
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("simulator: GET %s: %s", path, response.Status)
	}
	if into == nil {
		return nil
	}
	if err := json.NewDecoder(response.Body).Decode(into); err != nil {
		return fmt.Errorf("simulator: GET %s: %w", path, err)
	}
	return nil
}

// simulate finds the simulator that a killed demo left, or starts one that
// outlives this process. It ends itself ten minutes after its last client.
func (d *demo) simulate(ctx context.Context) (endpoint, error) {
	if at, err := d.endpoint(); err == nil && d.alive(ctx, at) {
		d.say("found the simulated Azure of before (process %d)", at.PID)
		return at, nil
	}
	dir := filepath.Join(d.dir, "sim")
	// A simulator that died took its clusters with it: what was begun on them
	// cannot go on.
	if err := os.RemoveAll(d.dir); err != nil {
		return endpoint{}, fmt.Errorf("demo folder: %w", err)
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return endpoint{}, fmt.Errorf("demo folder: %w", err)
	}
	logPath := filepath.Join(dir, "sim.log")
	log, err := os.OpenFile(logPath, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return endpoint{}, fmt.Errorf("simulator's log: %w", err)
	}
	defer func() { _ = log.Close() }()
	d.say("starts a simulated Azure with four clusters; log: %s", logPath)
	child := exec.CommandContext(context.WithoutCancel(ctx), d.simulator, //nolint:gosec // the simulator beside this binary, or the one that the user names
		"--scenario", "demo", "--state-dir", dir, "--kube-bin", d.kubeBin)
	child.Stdout, child.Stderr = log, log
	child.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := child.Start(); err != nil {
		return endpoint{}, fmt.Errorf("start the simulator: %w; build it with: make build", err)
	}
	ended := make(chan error, 1)
	go func() { ended <- child.Wait() }()
	ctx, cancel := context.WithTimeout(ctx, simulatorStart)
	defer cancel()
	started := time.Now()
	for {
		if at, err := d.endpoint(); err == nil && d.alive(ctx, at) {
			d.say("the simulated Azure is up after %s", time.Since(started).Round(100*time.Millisecond))
			return at, nil
		}
		select {
		case err := <-ended:
			return endpoint{}, fmt.Errorf("the simulator ended while it started (%w):\n%s", err, lastLines(logPath))
		case <-time.After(simulatorPoll):
		case <-ctx.Done():
			return endpoint{}, fmt.Errorf("the simulator did not start: %w; its log is %s", ctx.Err(), logPath)
		}
	}
}

// lastLines returns the end of a log.
func lastLines(path string) string {
	text, err := os.ReadFile(path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err.Error()
	}
	lines := strings.Split(strings.TrimSpace(string(text)), "\n")
	return strings.Join(lines[max(0, len(lines)-8):], "\n")
}

// writeFleet writes the demo's Fleet file. Its content is the same for the same
// simulator, so that a killed demo goes on.
func (d *demo) writeFleet(at endpoint) (string, error) {
	t, err := template.New("fleet.yaml").Parse(demoFleet)
	if err != nil {
		return "", fmt.Errorf("demo Fleet file: %w", err)
	}
	var text bytes.Buffer
	if err := t.Execute(&text, at); err != nil {
		return "", fmt.Errorf("demo Fleet file: %w", err)
	}
	path := filepath.Join(d.dir, "fleet.yaml")
	if err := os.WriteFile(path, text.Bytes(), 0o600); err != nil {
		return "", fmt.Errorf("demo Fleet file: %w", err)
	}
	return path, nil
}

// approve gives the approvals that rings wait for, as a person would.
func (d *demo) approve(ctx context.Context, e Engine, id string) error {
	for {
		select {
		case <-time.After(approvalAfter):
		case <-ctx.Done():
			return ctx.Err()
		}
		o, err := rollout.ReadOverview(ctx, e.Store(), e.Ledger(), e.Journal(), id, 1<<62, time.Now())
		if err != nil {
			return err
		}
		for _, ring := range o.Rings {
			for _, a := range ring.Wanted {
				_, err := e.Send(ctx, rollout.Request{Verb: rollout.VerbApprove, Rollout: id, Ring: ring.Name, Name: a.Name, Role: a.Role, Actor: "the demo" + unverified, Reason: "a person would do this with: liftlock approve --ring " + ring.Name})
				if _, refused := errors.AsType[*rollout.RefusedError](err); err != nil && !refused {
					return err
				}
			}
		}
	}
}

// witnessed is what the simulator itself saw of the workloads, from before the
// upgrade on, whoever was killed meanwhile.
type witnessed struct {
	Violations int `json:"violations"`
	Clusters   []struct {
		Cluster   string `json:"cluster"`
		Workloads []struct {
			Workload   string `json:"workload"`
			Required   int    `json:"required"`
			Lowest     int    `json:"lowest"`
			Violations int    `json:"violations"`
		} `json:"workloads"`
	} `json:"clusters"`
}

// judge decides whether the demo kept its promise.
func (d *demo) judge(ctx context.Context, at endpoint, file rollout.FleetFile) error {
	look, err := d.host.Look(ctx, file, d.logger())
	if err != nil {
		return err
	}
	if !look.NothingToDo() {
		return &exit{ExitFailed, fmt.Errorf("not every cluster is on the proven version: %+v", outlookOf(look))}
	}
	var seen witnessed
	if err := d.ask(ctx, at, "/witness", &seen); err != nil {
		return err
	}
	watched := 0
	for _, cluster := range seen.Clusters {
		watched += len(cluster.Workloads)
		for _, w := range cluster.Workloads {
			if w.Violations > 0 {
				d.say("the simulator saw %s of %s at %d Ready, it requires %d", w.Workload, cluster.Cluster, w.Lowest, w.Required)
			}
		}
	}
	var r report.Report
	err = d.withState(ctx, func(st State) error {
		ro, err := latest(ctx, st, "")
		if err != nil {
			return err
		}
		r, err = reportOf(ctx, st, ro.ID)
		return err
	})
	if err != nil {
		return err
	}
	if r.Violations > 0 || seen.Violations > 0 {
		return &exit{ExitFailed, fmt.Errorf("workloads fell below what they require: %d times by the report, %d times by the simulator's own watch", r.Violations, seen.Violations)}
	}
	d.say("all %d clusters are on %s, checked on their nodes; %d workloads watched, none was ever below what it requires", len(r.Clusters), r.Target, watched)
	return nil
}
