// Package keycard is the Go client of Keycard. It signs in, holds the tokens and keeps them alive.
//
// Its methods are the operations of the API: GetMe is get_me, ListSessions is list_sessions. An answer that says what went
// wrong is an error of type *Problem. A Client may be used by many goroutines at once.
package keycard

import (
	"context"
	"net/http"
	"strings"
	"time"

	"keycard/generated"
)

// Client calls one Keycard as one person. Login, Logout, Refresh, Reauthenticate and ChangePassword keep the tokens; every other
// operation is a method of Operations.
type Client struct {
	*generated.Operations
	// API is the whole generated client, for what Operations leaves out, such as the ETag of an answer. Its calls carry the
	// session too; its errors are *generated.GenericOpenAPIError.
	API      *generated.APIClient
	delivery string
	session  *session
}

// Option changes how New makes a Client.
type Option func(*Client)

// WithDelivery says how the tokens travel: generated.LoginRequestDeliveryBody (default), …Hybrid or …Cookie. The cookies of the
// latter two are held in memory, whatever the storage.
func WithDelivery(delivery string) Option {
	return func(c *Client) { c.delivery = delivery }
}

// WithStorage says where the tokens are kept; in memory by default.
func WithStorage(storage Storage) Option {
	return func(c *Client) { c.session.storage = storage }
}

// WithTimeout limits one attempt of a call, its answer included; 30 seconds by default. A context limits the whole call.
func WithTimeout(timeout time.Duration) Option {
	return func(c *Client) { c.session.timeout = timeout }
}

// WithMaxWait limits how long a Retry-After may ask to wait before the problem is returned instead; 30 seconds by default.
func WithMaxWait(wait time.Duration) Option {
	return func(c *Client) { c.session.maxWait = wait }
}

// WithTransport says what sends the requests; http.DefaultTransport by default.
func WithTransport(transport http.RoundTripper) Option {
	return func(c *Client) { c.session.transport = transport }
}

// New makes a Client of the Keycard at baseURL, such as "https://auth.example.com".
func New(baseURL string, options ...Option) *Client {
	s := newSession()
	configuration := generated.NewConfiguration()
	configuration.Servers = generated.ServerConfigurations{{URL: strings.TrimRight(baseURL, "/")}}
	configuration.UserAgent = "keycard-go/" + generated.DocumentVersion
	// Keycard never redirects, and a token must not follow one to somewhere else.
	configuration.HTTPClient = &http.Client{
		Transport:     s,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	api := generated.NewAPIClient(configuration)
	operations := generated.NewOperations(api, withoutToken, failure)
	s.exchange = operations.Refresh
	c := &Client{Operations: operations, API: api, delivery: generated.LoginRequestDeliveryBody, session: s}
	for _, option := range options {
		option(c)
	}
	return c
}

// Login signs in with a username or a proven e-mail address, and keeps the tokens.
func (c *Client) Login(ctx context.Context, username, password string) (*generated.TokenPair, error) {
	request := generated.LoginRequest{Username: username, Password: password, Delivery: &c.delivery}
	pair, err := c.Operations.Login(ctx, request)
	if err != nil {
		return nil, err
	}
	return pair, c.session.begin(ctx, tokensOf(pair))
}

// Refresh exchanges the refresh token now. There is seldom a reason: every call does so when it must.
func (c *Client) Refresh(ctx context.Context) error {
	held, err := c.session.storage.Load(ctx)
	if err != nil {
		return err
	}
	if !held.refreshable() {
		_, err = c.Operations.Refresh(withoutToken(ctx)) // the server says what is missing
		return err
	}
	_, err = c.session.renewed(ctx, held)
	return failure(nil, err)
}

// Reauthenticate proves the password again and keeps the new, fresh pair, which sensitive operations demand.
func (c *Client) Reauthenticate(ctx context.Context, password string) (*generated.TokenPair, error) {
	return c.session.renew(ctx, func(ctx context.Context) (*generated.TokenPair, error) {
		return c.Operations.Reauthenticate(ctx, generated.ReauthenticateRequest{Password: password})
	})
}

// ChangePassword sets another password and keeps the new pair; every other session ends.
func (c *Client) ChangePassword(ctx context.Context, passwords generated.PasswordChange) (*generated.TokenPair, error) {
	return c.session.renew(ctx, func(ctx context.Context) (*generated.TokenPair, error) {
		return c.Operations.ChangePassword(ctx, passwords)
	})
}

// Logout forgets the tokens, whatever happens, and ends the session at the server. Without a session it does nothing.
func (c *Client) Logout(ctx context.Context) error {
	held, err := c.session.forget(ctx)
	if err != nil || held == (Tokens{}) {
		return err
	}
	defer c.session.forgetCookies()
	// The refresh token lives longer than the access token, and logout takes either.
	err = c.Operations.Logout(presenting(ctx, held.toRefresh()))
	if sessionIsOver(err) {
		return nil
	}
	return err
}
