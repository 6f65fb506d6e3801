// Drives the page of lua/examples in Chromium, as its user and as a forger, and prints what was seen. Arguments: the
// folder that playwright-core is installed in, and a file with {executable, page, short, forger, stranger, careless}: the
// browser, and URLs. `short` is the page with tokens of few seconds, `forger` a page of another origin of the same
// site, `stranger` one of another site, `careless` the application behind a session without CSRF protection.
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';

const [folder, file] = process.argv.slice(2);
const { chromium } = createRequire(`${folder}/`)('playwright-core');
const { executable, page: home, short, forger, stranger, careless } = JSON.parse(readFileSync(file));

const browser = await chromium.launch({
    executablePath: executable,
    headless: true,
    args: ['--headless', '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run',
        '--disable-background-networking', '--disable-component-update', '--disable-sync'],
});

// A user of the page; `faults` gathers what the page's script or its policy stumbles over.
async function visitor(url, faults) {
    const context = await browser.newContext();
    context.setDefaultTimeout(10000);
    const page = await context.newPage();
    page.on('pageerror', (error) => faults.push(error.message));
    page.on('console', (line) => {
        if (line.type() === 'error' && !line.text().startsWith('Failed to load resource')) faults.push(line.text());
    });
    const started = () => page.locator('#session, #login').locator('visible=true').waitFor();
    await page.goto(url);
    await started();
    const idle = () => page.waitForFunction(() => !document.querySelector('button:disabled'));

    // The lines that an action adds to the page's log: [status, request, answer].
    let seen = 0;
    const exchanges = async (action) => {
        await action();
        await idle();
        const lines = await page.$$eval('#exchanges li', (all) => all.map((li) => [...li.children].map((e) => e.textContent)));
        const news = lines.slice(seen);
        seen = lines.length;
        return news;
    };
    const press = (name) => exchanges(() => page.getByRole('button', { name, exact: true }).click());
    const log_in = async (username, password) => {
        await page.getByLabel('User name').fill(username);
        await page.getByLabel('Password').fill(password);
        return press('Log in');
    };
    const reload = () => exchanges(async () => {
        seen = 0;
        await page.reload();
        await started();
    });
    const shown = async () => {
        if (await page.getByRole('heading', { name: 'Log in' }).isVisible()) return 'login';
        return page.getByRole('heading', { name: /^Logged in as/ }).textContent();
    };
    return { context, page, press, log_in, reload, shown };
}

async function cookies(context) {
    const all = await context.cookies();
    return Object.fromEntries(all.map(({ name, path, httpOnly, sameSite, expires }) =>
        [name, { path, httpOnly, sameSite, session: expires === -1 }]));
}

// A form of another page, sent as a forger's script would; what came back to its window.
async function forged_form(context, from, action, { encoding, fields } = {}) {
    const page = await context.newPage();
    await page.goto(from);
    const answer = page.waitForResponse((response) => response.request().method() === 'POST');
    await page.evaluate(([url, enctype, values]) => {
        const form = document.createElement('form');
        Object.assign(form, { method: 'post', action: url, enctype });
        for (const [name, value] of Object.entries(values)) {
            form.append(Object.assign(document.createElement('input'), { name, value }));
        }
        document.body.append(form);
        form.submit();
    }, [action, encoding ?? '', fields ?? {}]);
    const response = await answer;
    const text = await response.text();
    await page.close();
    return [response.status(), text.trim()];
}

// fetch from a page that has read the CSRF value: the status, or 'blocked'.
async function fetched(page, method, url) {
    return page.evaluate(([how, where]) => {
        const value = document.cookie.match(/csrf_access_token=([^;]+)/)?.[1];
        if (!value) return 'no CSRF value';
        const headers = how === 'POST' ? { 'X-CSRF-TOKEN': value } : {};
        return fetch(where, { method: how, credentials: 'include', headers }).then(({ status }) => status, () => 'blocked');
    }, [method, url]);
}

async function session() {
    const faults = [];
    const { context, page, press, log_in, reload, shown } = await visitor(home, faults);
    const api = new URL('api/', home).href;
    const seen = { first: await shown() };

    seen.wrong = await log_in('test', 'guess');
    seen.told = await page.getByRole('alert').textContent();
    seen.after_wrong = [await shown(), await cookies(context)];
    seen.login = await log_in('test', 'test');
    seen.logged_in = await shown();
    seen.countdown = await page.locator('#countdown').textContent();
    seen.cookies = await cookies(context);
    seen.script_sees = (await page.evaluate(() => document.cookie)).split('; ').map((pair) => pair.split('=')[0]).sort();

    seen.read = await press('Read the profile');
    seen.bare = await press('Order without it');
    seen.order = await press('Order with the CSRF header');
    seen.reload = [await reload(), await shown()];

    seen.careless = await forged_form(context, forger, careless);
    seen.forged = await forged_form(context, forger, `${api}orders`);
    seen.stranger_careless = await forged_form(context, stranger, careless);
    seen.stranger = await forged_form(context, stranger, `${api}orders`);
    seen.forged_logout = await forged_form(context, forger, new URL('session/logout', home).href);
    seen.forged_login = await forged_form(context, forger, new URL('session/login', home).href,
        { encoding: 'text/plain', fields: { '{"username":"test","password":"test","x":"': '"}' } });

    const other = await context.newPage();
    await other.goto(forger);
    seen.fetched = {
        own: [await fetched(page, 'GET', `${api}profile`), await fetched(page, 'POST', `${api}orders`)],
        forged: [await fetched(other, 'GET', `${api}profile`), await fetched(other, 'POST', `${api}orders`)],
    };
    await other.close();

    seen.after_forgery = [await reload(), await shown()];
    seen.logout = [await press('Log out'), await shown()];
    seen.left = await cookies(context);
    seen.after_logout = [await reload(), await shown()];
    await context.close();
    return { ...seen, faults };
}

const ended = (page) => page.getByText('expired', { exact: true }).waitFor();

async function expiry() {
    const faults = [];
    const { context, page, press, log_in } = await visitor(short, faults);
    await log_in('test', 'test');
    await ended(page);
    const seen = { read: await press('Read the profile'), countdown: await page.locator('#countdown').textContent() };
    await ended(page);
    seen.order = await press('Order with the CSRF header');
    await context.close();
    return { ...seen, faults };
}

// Without the refresh cookie a session is over with its access token.
async function end() {
    const faults = [];
    const { context, page, press, log_in, shown } = await visitor(short, faults);
    await log_in('test', 'test');
    await context.clearCookies({ name: 'refresh_token_cookie' });
    await ended(page);
    const seen = { read: await press('Read the profile'), shown: await shown() };
    await context.close();
    return { ...seen, faults };
}

try {
    const [a_session, an_expiry, an_end] = await Promise.all([session(), expiry(), end()]);
    console.log(JSON.stringify({ session: a_session, expiry: an_expiry, end: an_end }));
} finally {
    await browser.close();
}
