package telemetry

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sync/singleflight"

	"github.com/reelflow/reelflow/internal/catalog"
	"github.com/reelflow/reelflow/video"
)

// What the catalog or Temporal is asked for is shown for so long, and asked for no longer
// than that: a collection that finds it out of reach shows the rest.
const (
	figuresKept = 5 * time.Second
	figuresWait = 4 * time.Second
)

// kept remembers what was found out last. Those who ask at once get the same answer.
type kept[Value any] struct {
	ask func(context.Context) (Value, error)
	log *slog.Logger
	of  string // whom it asks

	group singleflight.Group
	mu    sync.Mutex
	value Value
	err   error
	until time.Time
}

func (k *kept[Value]) get() (Value, error) {
	k.mu.Lock()
	value, err, fresh := k.value, k.err, time.Now().Before(k.until)
	k.mu.Unlock()
	if fresh {
		return value, err
	}
	k.group.Do("", func() (any, error) {
		ctx, cancel := context.WithTimeout(context.Background(), figuresWait)
		defer cancel()
		value, err = k.ask(ctx)
		if err != nil {
			k.log.Warn("no figures for metrics", "of", k.of, "error", err)
		}
		k.mu.Lock()
		defer k.mu.Unlock()
		k.value, k.err, k.until = value, err, time.Now().Add(figuresKept)
		return nil, nil
	})
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.value, k.err
}

// Catalog shows what the catalog counts of all videos. Stores are the names of those in
// the settings. Call it once.
func (m *Metrics) Catalog(c *catalog.Catalog, stores []string, log *slog.Logger) {
	m.registry.MustRegister(&catalogCollector{stores: stores, figures: kept[[]catalog.Figure]{ask: c.Figures, log: log, of: "the catalog"}})
}

// catalogCollector makes gauges of the catalog's figures. A process that can't ask shows none
// but reelflow_catalog_up, so that nobody takes it for an empty catalog.
type catalogCollector struct {
	stores  []string
	figures kept[[]catalog.Figure]
}

var (
	catalogUp = gaugeDesc("reelflow_catalog_up", "1 if the catalog could be asked for the figures about videos.")

	videosDesc   = gaugeDesc("reelflow_videos", "Videos in a stage; 100,000 stands for as many or more.", "stage")
	stageAgeDesc = gaugeDesc("reelflow_stage_oldest_seconds", "How long ago the oldest video in a stage was made; 0 without one.", "stage")
	receivedDesc = gaugeDesc("reelflow_upload_received_bytes", "Bytes that are stored of uploads under way.")

	pausedDesc     = gaugeDesc("reelflow_videos_paused", "Videos that are paused on their way to publication.")
	overdueDesc    = gaugeDesc("reelflow_videos_overdue", "Deleted videos that were not erased in time.")
	troubleDesc    = gaugeDesc("reelflow_videos_trouble", "Videos whose work fails, or can't be done by anybody.")
	strayDesc      = gaugeDesc("reelflow_videos_stray", "Videos whose workflow was terminated, and which wait for a person.")
	unheardDesc    = gaugeDesc("reelflow_deletions_unheard", "Deleted videos whose workflow has not heard of it yet.")
	unheardAgeDesc = gaugeDesc("reelflow_deletions_unheard_oldest_seconds", "How long ago the first of those was deleted; 0 without one.")

	unpurgedDesc      = gaugeDesc("reelflow_purge_pending", "Videos that are being purged and that a store may still hold something of.", "store")
	unpurgedBytesDesc = gaugeDesc("reelflow_purge_pending_bytes", "What the store still holds of them, as far as it was counted.", "store")
	purgeLagDesc      = gaugeDesc("reelflow_purge_lag_seconds", "How long ago the purge of the first of them was due; 0 without one.", "store")
)

func gaugeDesc(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc(name, help, labels, nil)
}

// Describe implements prometheus.Collector. What is collected differs: it describes nothing.
func (c *catalogCollector) Describe(chan<- *prometheus.Desc) {}

// Collect implements prometheus.Collector.
func (c *catalogCollector) Collect(into chan<- prometheus.Metric) {
	figures, err := c.figures.get()
	send := func(desc *prometheus.Desc, value float64, labels ...string) {
		into <- prometheus.MustNewConstMetric(desc, prometheus.GaugeValue, value, labels...)
	}
	if err != nil {
		send(catalogUp, 0)
		return
	}
	send(catalogUp, 1)
	sums := summed(figures)
	for _, stage := range video.Stages {
		f := sums[figureKey{catalog.FigureStage, string(stage)}]
		send(videosDesc, f.videos, string(stage))
		send(stageAgeDesc, f.age, string(stage))
	}
	send(receivedDesc, sums[figureKey{catalog.FigureStage, string(video.Uploading)}].bytes)
	for desc, kind := range map[*prometheus.Desc]string{
		pausedDesc: catalog.FigurePaused, overdueDesc: catalog.FigureOverdue, troubleDesc: catalog.FigureTrouble,
		strayDesc: catalog.FigureStray, unheardDesc: catalog.FigureUnheard,
	} {
		send(desc, sums[figureKey{kind, ""}].videos)
	}
	send(unheardAgeDesc, sums[figureKey{catalog.FigureUnheard, ""}].age)
	for _, store := range c.stores {
		f := sums[figureKey{catalog.FigureUnpurged, store}]
		send(unpurgedDesc, f.videos, store)
		send(unpurgedBytesDesc, f.bytes, store)
		send(purgeLagDesc, f.age, store)
	}
}

type figureKey struct{ kind, label string }

// sum is what a gauge shows: a number, bytes, and the seconds since the oldest.
type sum struct{ videos, bytes, age float64 }

func summed(figures []catalog.Figure) map[figureKey]sum {
	sums := map[figureKey]sum{}
	for _, f := range figures {
		key := figureKey{f.Kind, f.Label}
		s := sums[key]
		s.videos += float64(f.Videos)
		s.bytes += float64(f.Bytes)
		if !f.Oldest.IsZero() {
			s.age = max(s.age, time.Since(f.Oldest).Seconds())
		}
		sums[key] = s
	}
	return sums
}
