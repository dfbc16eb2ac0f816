package kube

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	corelisters "k8s.io/client-go/listers/core/v1"
	storagelisters "k8s.io/client-go/listers/storage/v1"
	"k8s.io/client-go/tools/cache"

	"liftlock.dev/liftlock/internal/adapter/twin/process"
)

// agent does in one cluster what a cloud's components and kubelets do beside
// running pods. It looks at the whole of what it watches whenever something
// changed or comes due, so nothing it missed stays missed.
type agent struct {
	cluster *Cluster
	client  *kubernetes.Clientset
	log     *slog.Logger
	dice    *dice

	nodes       corelisters.NodeLister
	pods        corelisters.PodLister
	claims      corelisters.PersistentVolumeClaimLister
	volumes     corelisters.PersistentVolumeLister
	classes     storagelisters.StorageClassLister
	attachments storagelisters.VolumeAttachmentLister

	kwok    *process.Process
	factory informers.SharedInformerFactory
	changed chan struct{} // holds one
	due     map[string]time.Time
	cancel  context.CancelFunc
	running sync.WaitGroup
}

const (
	// leasePeriod is how often a kubelet renews its lease.
	leasePeriod = 10 * time.Second
	// renewAtOnce bounds how many leases are renewed at a time.
	renewAtOnce = 16
	// restBetween keeps a burst of changes from being looked at one by one.
	restBetween = 50 * time.Millisecond
	// tryAgain is when something that failed is looked at again.
	tryAgain = time.Second
)

// startAgent makes the nodes live, and returns once the agent knows the
// cluster. The caller holds mu or is the only one to know the cluster.
func (c *Cluster) startAgent(ctx context.Context) error {
	life, cancel := context.WithCancel(context.WithoutCancel(ctx))
	factory := informers.NewSharedInformerFactoryWithOptions(c.client, 0, informers.WithTransform(lean))
	a := &agent{
		cluster: c, client: c.client, log: c.log, dice: c.dice,
		nodes:       factory.Core().V1().Nodes().Lister(),
		pods:        factory.Core().V1().Pods().Lister(),
		claims:      factory.Core().V1().PersistentVolumeClaims().Lister(),
		volumes:     factory.Core().V1().PersistentVolumes().Lister(),
		classes:     factory.Storage().V1().StorageClasses().Lister(),
		attachments: factory.Storage().V1().VolumeAttachments().Lister(),
		factory:     factory,
		changed:     make(chan struct{}, 1),
		due:         map[string]time.Time{},
		cancel:      cancel,
	}
	if err := a.start(ctx, life); err != nil {
		return errors.Join(fmt.Errorf("simulate the nodes of cluster %s: %w", c.spec.Name, err), a.stop(ctx))
	}
	c.agent = a
	return nil
}

// stopAgent makes the nodes stand still.
func (c *Cluster) stopAgent(ctx context.Context) error {
	if c.agent == nil {
		return nil
	}
	err := c.agent.stop(ctx)
	c.agent = nil
	return err
}

// start returns early when ctx ends; what it starts lives as long as life.
func (a *agent) start(ctx, life context.Context) error {
	var err error
	if a.kwok, err = a.cluster.startKWOK(ctx); err != nil {
		return err
	}
	factory := a.factory
	for _, informer := range []cache.SharedIndexInformer{
		factory.Core().V1().Nodes().Informer(),
		factory.Core().V1().Pods().Informer(),
		factory.Core().V1().PersistentVolumeClaims().Informer(),
		factory.Core().V1().PersistentVolumes().Informer(),
		factory.Storage().V1().StorageClasses().Informer(),
		factory.Storage().V1().VolumeAttachments().Informer(),
	} {
		if _, err := informer.AddEventHandler(cache.ResourceEventHandlerFuncs{
			AddFunc:    func(any) { a.wake() },
			UpdateFunc: func(any, any) { a.wake() },
			DeleteFunc: func(any) { a.wake() },
		}); err != nil {
			return fmt.Errorf("watch it: %w", err)
		}
	}
	factory.Start(life.Done())
	for kind, ok := range factory.WaitForCacheSync(ctx.Done()) {
		if !ok {
			return fmt.Errorf("list its %s: %w", kind, context.Cause(ctx))
		}
	}
	a.cluster.metrics.serve(a.pods, a.nodes)
	a.running.Go(func() { a.run(life) })
	a.running.Go(func() { a.renewLeases(life) })
	a.running.Go(func() { a.keepKWOK(life) })
	return nil
}

// stop ends the agent and returns when it is gone.
func (a *agent) stop(ctx context.Context) error {
	a.cancel()
	a.running.Wait()
	a.factory.Shutdown()
	if a.kwok == nil {
		return nil
	}
	return a.kwok.Stop(ctx, 0)
}

// keepKWOK starts the node simulator again should it end by itself.
func (a *agent) keepKWOK(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-a.kwok.Done():
		}
		a.log.ErrorContext(ctx, "node simulator ended; starting it again", "error", a.kwok.Exited())
		if pause(ctx, tryAgain) != nil {
			return
		}
		again, err := a.cluster.startKWOK(ctx)
		if err != nil {
			a.log.ErrorContext(ctx, "node simulator not started", "error", err)
			continue
		}
		a.kwok = again
	}
}

func (a *agent) wake() {
	select {
	case a.changed <- struct{}{}:
	default:
	}
}

// lean drops what nobody here reads.
func lean(object any) (any, error) {
	if accessor, err := meta.Accessor(object); err == nil {
		accessor.SetManagedFields(nil)
	}
	return object, nil
}

func (a *agent) run(ctx context.Context) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-a.changed:
		case <-timer.C:
		}
		next := a.look(ctx)
		if pause(ctx, restBetween) != nil {
			return
		}
		timer.Reset(next)
	}
}

// look does all that is to be done now, and says when something comes due.
func (a *agent) look(ctx context.Context) time.Duration {
	seen := map[string]bool{}
	next := time.Minute
	for _, task := range []func(context.Context, *pass) error{
		a.removeStartupTaints, a.terminate, a.provision, a.attach, a.prepare,
	} {
		p := &pass{agent: a, now: time.Now(), seen: seen, next: time.Minute}
		if err := task(ctx, p); err != nil && ctx.Err() == nil {
			if !apierrors.IsConflict(err) && !apierrors.IsNotFound(err) {
				a.log.WarnContext(ctx, "simulated cloud component failed", "error", err)
			}
			p.next = min(p.next, tryAgain)
		}
		next = min(next, p.next)
	}
	for key := range a.due {
		if !seen[key] {
			delete(a.due, key)
		}
	}
	return next
}

// pass is one look at the cluster.
type pass struct {
	agent *agent
	now   time.Time
	seen  map[string]bool
	next  time.Duration // when to look again at the latest
}

// isDue tells whether the time of something has come, which is drawn when it is
// first asked for.
func (p *pass) isDue(key string, draw func() time.Duration) bool {
	p.seen[key] = true
	at, ok := p.agent.due[key]
	if !ok {
		at = p.now.Add(draw())
		p.agent.due[key] = at
	}
	if left := at.Sub(p.now); left > 0 {
		p.next = min(p.next, left)
		return false
	}
	return true
}

// removeStartupTaints takes the taints of Ready nodes off, as the agents that a
// taint waits for do once they run there.
func (a *agent) removeStartupTaints(ctx context.Context, p *pass) error {
	nodes, err := a.nodes.List(labels.Everything())
	if err != nil {
		return err
	}
	for _, node := range nodes {
		keys := node.Annotations[startupTaintsAnnotation]
		if keys == "" || !isReady(node) {
			continue
		}
		if !p.isDue("taints/"+string(node.UID)+node.Status.NodeInfo.BootID, func() time.Duration { return startupTaintsStay }) {
			continue
		}
		err := a.cluster.updateNode(ctx, node.Name, func(node *corev1.Node) {
			node.Spec.Taints = withoutTaint(node.Spec.Taints, strings.Split(keys, ",")...)
			node.Annotations[startupTaintsAnnotation] = ""
		}, nil)
		if err != nil {
			return fmt.Errorf("remove the start-up taints of node %s: %w", node.Name, err)
		}
	}
	return nil
}

// startupTaintsStay is how long they stay on a Ready node.
const startupTaintsStay = 700 * time.Millisecond

func isReady(node *corev1.Node) bool {
	for _, condition := range node.Status.Conditions {
		if condition.Type == corev1.NodeReady {
			return condition.Status == corev1.ConditionTrue
		}
	}
	return false
}

// renewLeases says for every node that is on that its kubelet is alive.
func (a *agent) renewLeases(ctx context.Context) {
	tick := time.NewTicker(leasePeriod)
	defer tick.Stop()
	for {
		nodes, err := a.nodes.List(labels.Everything())
		if err != nil {
			a.log.WarnContext(ctx, "nodes not listed", "error", err)
		}
		// Kubelets do not wait for each other; on a busy machine a hundred in a row
		// would take longer than a node may be silent.
		var renewals errgroup.Group
		renewals.SetLimit(renewAtOnce)
		for _, node := range nodes {
			if node.Labels[kubeletLabel] == "" {
				continue
			}
			renewals.Go(func() error {
				if err := a.cluster.renewLease(ctx, node); err != nil && ctx.Err() == nil {
					a.log.WarnContext(ctx, "node lease not renewed", "node", node.Name, "error", err)
				}
				return nil
			})
		}
		_ = renewals.Wait() // each has said what went wrong
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}
