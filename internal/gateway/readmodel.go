package gateway

import (
	"context"

	"github.com/reelflow/reelflow/internal/catalog"
	"github.com/reelflow/reelflow/internal/gateway/pages"
	"github.com/reelflow/reelflow/internal/gateway/people"
	"github.com/reelflow/reelflow/video"
)

// readModel is the gateway as the pages know it.
type readModel struct{ g *Gateway }

var _ pages.Videos = readModel{}

// Show implements pages.Videos.
func (m readModel) Show(ctx context.Context, id string) (pages.Shown, error) {
	v, err := m.g.load(ctx, id)
	if err != nil {
		return pages.Shown{}, err
	}
	rendered, err := m.g.render(ctx, v)
	return pages.Shown{Video: rendered, Owned: v.owned()}, err
}

// ListOwn implements pages.Videos.
func (m readModel) ListOwn(ctx context.Context, stage video.Stage, cursor string) ([]pages.Shown, string, error) {
	who, err := people.SignedIn(ctx)
	if err != nil {
		return nil, "", err
	}
	q := catalog.Query{Owner: m.g.people.OwnerID(who.Name), Cursor: cursor}
	if stage != "" {
		q.Stages = []video.Stage{stage}
	}
	return m.list(ctx, q)
}

// ListPublished implements pages.Videos.
func (m readModel) ListPublished(ctx context.Context, name, cursor string) ([]pages.Shown, string, error) {
	return m.list(ctx, catalog.Query{Owner: m.g.people.OwnerID(name), PublicOnly: true, Cursor: cursor})
}

func (m readModel) list(ctx context.Context, q catalog.Query) (page []pages.Shown, next string, err error) {
	all, next, err := m.g.loadAll(ctx, q)
	if err != nil {
		return nil, "", err
	}
	rendered, err := m.g.renderAll(ctx, all)
	if err != nil {
		return nil, "", err
	}
	for i, v := range all {
		page = append(page, pages.Shown{Video: rendered[i], Owned: v.owned(), Poster: m.g.players.Poster(v.row, v.roles)})
	}
	return page, next, nil
}
