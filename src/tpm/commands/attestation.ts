// Part 3, chapter 18: attestation. Each command fills its own part; head and signature are in attest.ts.
// TPM2_CertifyX509 is in x509.ts.

import { concat, EMPTY, equalBytes } from '../../base/bytes.ts';
import { crypto } from '../../crypto/provider.ts';
import { hashName } from '../algorithms.ts';
import { attest, signerOf } from '../attest.ts';
import { timeInfo } from '../clock.ts';
import { admin, command, reference, user } from '../command.ts';
import * as c from '../constants.ts';
import { keyAt } from '../entity.ts';
import { be32 } from '../marshal.ts';
import { pcrDigest } from '../pcr.ts';
import { FIRMWARE_VERSION } from '../properties.ts';
import * as rc from '../rc.ts';
import { isAnonymousScheme } from '../sign.ts';
import {
  Tpm2bData,
  Tpm2bDigest,
  TpmiDhObject,
  TpmiDhObjectNull,
  TpmiRhEndorsement,
  TpmiShHmac,
  TpmlPcrSelection,
} from '../structures.ts';
import { Tpm2bAttest, TpmtSignatureNull, TpmtTkCreation } from '../structures-attest.ts';
import { TpmtSigScheme } from '../structures-object.ts';
import { creationTicket } from '../tickets.ts';

/** @tcg Part 3, 18.2 TPM2_Certify */
export const certify = command({
  code: 0x148,
  name: 'Certify',
  handles: { objectHandle: admin(TpmiDhObject), signHandle: user(TpmiDhObjectNull) },
  parameters: { qualifyingData: Tpm2bData, inScheme: TpmtSigScheme },
  response: { certifyInfo: Tpm2bAttest, signature: TpmtSignatureNull },
  run(tpm, { objectHandle, signHandle, qualifyingData, inScheme }) {
    const signer = signerOf(tpm, signHandle, inScheme, 2, 2);
    if (typeof signer === 'number') return signer;
    // A sequence can be certified too: it has no name.
    const object = keyAt(tpm, objectHandle);
    const anonymous = isAnonymousScheme(signer.scheme.scheme);
    const qualifiedName = anonymous ? EMPTY : (object?.qualifiedName ?? EMPTY);
    const info = { name: object?.name ?? EMPTY, qualifiedName };
    const done = attest(tpm, signer, qualifyingData, { type: c.TPM_ST_ATTEST_CERTIFY, info });
    return typeof done === 'number' ? done : { certifyInfo: done.octets, signature: done.signature };
  },
});

/** @tcg Part 3, 18.3 TPM2_CertifyCreation */
export const certifyCreation = command({
  code: 0x14a,
  name: 'CertifyCreation',
  handles: { signHandle: user(TpmiDhObjectNull), objectHandle: reference(TpmiDhObject) },
  parameters: {
    qualifyingData: Tpm2bData,
    creationHash: Tpm2bDigest,
    inScheme: TpmtSigScheme,
    creationTicket: TpmtTkCreation,
  },
  response: { certifyInfo: Tpm2bAttest, signature: TpmtSignatureNull },
  run(tpm, input) {
    const signer = signerOf(tpm, input.signHandle, input.inScheme, 1, 3);
    if (typeof signer === 'number') return signer;
    const name = keyAt(tpm, input.objectHandle)?.name ?? EMPTY;
    const ticket = creationTicket(tpm, input.creationTicket.hierarchy, name, input.creationHash);
    if (!equalBytes(ticket.digest, input.creationTicket.digest)) return rc.rcParameter(4, rc.TPM_RC_TICKET);
    const info = { objectName: name, creationHash: input.creationHash };
    const done = attest(tpm, signer, input.qualifyingData, { type: c.TPM_ST_ATTEST_CREATION, info });
    return typeof done === 'number' ? done : { certifyInfo: done.octets, signature: done.signature };
  },
});

/** @tcg Part 3, 18.4 TPM2_Quote */
export const quote = command({
  code: 0x158,
  name: 'Quote',
  handles: { signHandle: user(TpmiDhObjectNull) },
  parameters: { qualifyingData: Tpm2bData, inScheme: TpmtSigScheme, PCRselect: TpmlPcrSelection },
  response: { quoted: Tpm2bAttest, signature: TpmtSignatureNull },
  run(tpm, { signHandle, qualifyingData, inScheme, PCRselect }) {
    const signer = signerOf(tpm, signHandle, inScheme, 1, 2);
    if (typeof signer === 'number') return signer;
    const { hashAlg } = signer.scheme;
    if (hashAlg === c.TPM_ALG_NULL) return rc.rcParameter(2, rc.TPM_RC_SCHEME);
    const pcrs = pcrDigest(tpm, hashAlg, PCRselect);
    const info = { pcrSelect: pcrs.selection, pcrDigest: pcrs.digest };
    const done = attest(tpm, signer, qualifyingData, { type: c.TPM_ST_ATTEST_QUOTE, info });
    return typeof done === 'number' ? done : { quoted: done.octets, signature: done.signature };
  },
});

/** @tcg Part 3, 18.5 TPM2_GetSessionAuditDigest */
export const getSessionAuditDigest = command({
  code: 0x14d,
  name: 'GetSessionAuditDigest',
  handles: {
    privacyAdminHandle: user(TpmiRhEndorsement),
    signHandle: user(TpmiDhObjectNull),
    sessionHandle: reference(TpmiShHmac),
  },
  parameters: { qualifyingData: Tpm2bData, inScheme: TpmtSigScheme },
  response: { auditInfo: Tpm2bAttest, signature: TpmtSignatureNull },
  run(tpm, { signHandle, sessionHandle, qualifyingData, inScheme }) {
    const signer = signerOf(tpm, signHandle, inScheme, 2, 2);
    if (typeof signer === 'number') return signer;
    const session = tpm.state.ram.sessions.get(sessionHandle);
    if (session === undefined || !session.isAudit) return rc.rcHandle(3, rc.TPM_RC_TYPE);
    const exclusiveSession = tpm.state.ram.exclusiveAuditSession === sessionHandle ? 1 : 0;
    const info = { exclusiveSession, sessionDigest: session.auditDigest };
    const done = attest(tpm, signer, qualifyingData, { type: c.TPM_ST_ATTEST_SESSION_AUDIT, info });
    return typeof done === 'number' ? done : { auditInfo: done.octets, signature: done.signature };
  },
});

/** @tcg Part 3, 18.6 TPM2_GetCommandAuditDigest */
export const getCommandAuditDigest = command({
  code: 0x133,
  name: 'GetCommandAuditDigest',
  handles: { privacyHandle: user(TpmiRhEndorsement), signHandle: user(TpmiDhObjectNull) },
  parameters: { qualifyingData: Tpm2bData, inScheme: TpmtSigScheme },
  response: { auditInfo: Tpm2bAttest, signature: TpmtSignatureNull },
  nv: true,
  run(tpm, { signHandle, qualifyingData, inScheme }) {
    const signer = signerOf(tpm, signHandle, inScheme, 2, 2);
    if (typeof signer === 'number') return signer;
    const { auditHashAlg, auditCounter, auditCommands } = tpm.state.nv;
    const codes = [...auditCommands].sort((a, b) => a - b).map(be32);
    const info = {
      auditCounter,
      digestAlg: auditHashAlg,
      auditDigest: tpm.state.reset.commandAuditDigest,
      commandDigest: crypto().hash(hashName(auditHashAlg), concat(...codes)),
    };
    const done = attest(tpm, signer, qualifyingData, { type: c.TPM_ST_ATTEST_COMMAND_AUDIT, info });
    if (typeof done === 'number') return done;
    if (signHandle !== c.TPM_RH_NULL) tpm.setReset({ commandAuditDigest: EMPTY });
    return { auditInfo: done.octets, signature: done.signature };
  },
});

/** @tcg Part 3, 18.7 TPM2_GetTime */
export const getTime = command({
  code: 0x14c,
  name: 'GetTime',
  handles: { privacyAdminHandle: user(TpmiRhEndorsement), signHandle: user(TpmiDhObjectNull) },
  parameters: { qualifyingData: Tpm2bData, inScheme: TpmtSigScheme },
  response: { timeInfo: Tpm2bAttest, signature: TpmtSignatureNull },
  run(tpm, { signHandle, qualifyingData, inScheme }) {
    const signer = signerOf(tpm, signHandle, inScheme, 2, 2);
    if (typeof signer === 'number') return signer;
    const info = { time: timeInfo(tpm.state), firmwareVersion: FIRMWARE_VERSION };
    const done = attest(tpm, signer, qualifyingData, { type: c.TPM_ST_ATTEST_TIME, info });
    return typeof done === 'number' ? done : { timeInfo: done.octets, signature: done.signature };
  },
});
