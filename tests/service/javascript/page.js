// The page of a browser that runs a scenario.

import * as libvms from 'libvms-client'

import * as scenarios from './scenarios.js'

async function ask (...args) {
  const answer = await fetch('/ask', { method: 'POST', body: JSON.stringify(args) }).then((response) => response.json())
  if (answer.error) throw new Error(answer.error)
  return answer.answer
}

/** Runs the scenario, and tells how it ended. */
export async function page () {
  let failed = ''
  try {
    const { scenario, context } = await fetch('/context').then((response) => response.json())
    await scenarios[scenario]({ libvms, ask, openTab, ...context })
  } catch (error) {
    failed = String(error?.stack ?? error) || 'it failed'
  }
  await fetch('/done', { method: 'POST', body: failed })
}

/** What another tab has: it gives its `libvms` to the page that opened it. */
export function frame (window) {
  window.libvms = libvms
}

/** Opens another tab of this origin: a frame has modules, locks and connections of its own. `close` ends it as a person does. */
async function openTab () {
  const frame = document.createElement('iframe')
  frame.src = '/frame'
  document.body.append(frame)
  while (!frame.contentWindow?.libvms) await new Promise((resolve) => setTimeout(resolve, 10))
  return { libvms: frame.contentWindow.libvms, close: () => frame.remove() }
}
