/** What people do first on the admin page: open it, log in, go to a page. */
import type { Browser, Page } from 'playwright-core';
import { PASSWORD, withAdmins } from '../engine/ask-admin.ts';
import type { TestEngine } from '../support/engine.ts';
import { openPage } from './page.ts';

/** A browser of its own at the first login of somebody. */
export const openLink = async (
  browser: Browser,
  engine: TestEngine,
  name: string,
  role: 'admin' | 'viewer' = 'admin',
) => {
  const { link } = await withAdmins(engine, (admins) => admins.create({ name, role }));
  const context = await browser.newContext();
  const { page, faults } = await openPage(context);
  await page.goto(`https://localhost:${engine.adminPort}/#link=${link.reveal()}`);
  return { context, page, faults };
};

export const choosePassword = async (page: Page) => {
  await page.getByLabel('Password').fill(PASSWORD);
  await page.getByLabel('The same again').fill(PASSWORD);
  await page.getByRole('button', { name: 'Set the password and log in' }).click();
  await page.getByRole('heading', { name: 'Overview' }).waitFor();
};

/** Somebody who is logged in, at the overview. */
export const enter = async (...who: Parameters<typeof openLink>) => {
  const visit = await openLink(...who);
  await choosePassword(visit.page);
  return visit;
};

export const goTo = async (page: Page, name: string) => {
  await page.getByRole('navigation').getByRole('link', { name, exact: true }).click();
  await page.getByRole('heading', { name, level: 1 }).waitFor();
};
